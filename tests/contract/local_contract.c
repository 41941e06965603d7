/* local_contract.c - the contract suite on the backend inside one process. */
#include "contract/suite.h"

#include <kujata/pubsub_local.h>

static struct kj_pubsub *open_local(const struct kj_pubsub_errors *errors)
{
    struct kj_pubsub *pubsub = NULL;
    kj_pubsub_local_new(&(struct kj_pubsub_local_options){.errors = *errors}, &pubsub);
    return pubsub;
}

int main(void)
{
    return suite_run("local", open_local);
}
