/* server_run.c - kj_server_run, for programs that are a server and nothing else. */
#include <kujata/server.h>
#include <pthread.h>
#include <signal.h>

enum kj_status kj_server_run(struct kj_server *server, struct kj_error *error)
{
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    enum kj_status status = kj_server_start(server, error);
    if (!status) {
        int caught;
        sigwait(&signals, &caught);
        kj_server_stop(server);
    }
    return status;
}
