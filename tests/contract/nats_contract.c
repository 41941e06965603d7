/* nats_contract.c - the contract suite on NATS, with a broker of its own. */
#include "contract/broker.h"
#include "contract/suite.h"

#include <kujata/pubsub_nats.h>

static struct broker broker;

static struct kj_pubsub *open_nats(const struct kj_pubsub_errors *errors)
{
    struct kj_pubsub *pubsub = NULL;
    kj_pubsub_nats_new(&(struct kj_pubsub_nats_options){.urls = broker.url, .errors = *errors},
                       &pubsub, NULL);
    return pubsub;
}

int main(void)
{
    broker_start_or_skip(&broker);
    int status = suite_run("nats", open_nats);
    broker_kill(&broker);
    return status;
}
