/* broker.c - see broker.h. */
#include "contract/broker.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { START_DEADLINE_MS = 20000, EXIT_SKIPPED = 77, EXIT_NO_PROGRAM = 127 };

static void die(const char *what)
{
    perror(what);
    abort();
}

void broker_reserve(struct broker *broker)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) ||
        getsockname(fd, (struct sockaddr *)&address, &len)) {
        die("cannot find a free port");
    }
    close(fd);
    broker->pid = 0;
    broker->port = ntohs(address.sin_port);
    snprintf(broker->url, sizeof broker->url, "nats://127.0.0.1:%d", broker->port);
}

static void run_server(const struct broker *broker, int log)
{
    char port[16];
    snprintf(port, sizeof port, "%d", broker->port);
    const char *arguments[12] = {"nats-server", "-a", "127.0.0.1", "-p", port};
    if (broker->user) {
        memcpy(&arguments[5], (const char *[]){"--user", broker->user, "--pass", "secret"},
               4 * sizeof *arguments);
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* a test that crashes leaves no server behind */
    dup2(log, STDERR_FILENO);
    dup2(log, STDOUT_FILENO);
    execvp("nats-server", (char *const *)arguments);
    execv("/usr/sbin/nats-server", (char *const *)arguments);
    _exit(EXIT_NO_PROGRAM);
}

static int count_text(const char *haystack, const char *text)
{
    int count = 0;
    for (const char *hit = strstr(haystack, text); hit; hit = strstr(hit + 1, text)) {
        count++;
    }
    return count;
}

/* Reads the server's log from here on; false when it ends, or time does, before that. */
static bool await_log(int log, const char *text, int times)
{
    char read_so_far[65536];
    size_t len = 0;
    uint64_t deadline = kj__clock_monotonic_ms() + START_DEADLINE_MS;
    for (;;) {
        struct pollfd readable = {.fd = log, .events = POLLIN};
        uint64_t now = kj__clock_monotonic_ms();
        if (now >= deadline || poll(&readable, 1, (int)(deadline - now)) <= 0) {
            return false;
        }
        ssize_t got = read(log, read_so_far + len, sizeof read_so_far - 1 - len);
        if (got <= 0) {
            return false;
        }
        len += (size_t)got;
        read_so_far[len] = '\0';
        if (count_text(read_so_far, text) >= times) {
            return true;
        }
    }
}

bool broker_await_log(struct broker *broker, const char *text, int times)
{
    return await_log(broker->log, text, times);
}

bool broker_start(struct broker *broker)
{
    int log[2];
    if (pipe2(log, O_CLOEXEC)) {
        die("pipe");
    }
    broker->pid = fork();
    if (broker->pid < 0) {
        die("fork");
    }
    if (broker->pid == 0) {
        run_server(broker, log[1]);
    }
    close(log[1]);
    broker->log = log[0];
    if (await_log(broker->log, "Server is ready", 1)) {
        return true;
    }
    int status = 0;
    kill(broker->pid, SIGKILL);
    waitpid(broker->pid, &status, 0);
    close(broker->log);
    broker->pid = 0;
    if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_NO_PROGRAM) {
        die("nats-server did not get ready");
    }
    return false;
}

void broker_start_or_skip(struct broker *broker)
{
    broker_reserve(broker);
    if (!broker_start(broker)) {
        fprintf(stderr, "skipped: there is no nats-server\n");
        exit(EXIT_SKIPPED);
    }
}

void broker_kill(struct broker *broker)
{
    if (broker->pid > 0) {
        kill(broker->pid, SIGKILL);
        waitpid(broker->pid, NULL, 0);
        close(broker->log);
        broker->pid = 0;
    }
}

void broker_pause(const struct broker *broker)
{
    kill(broker->pid, SIGSTOP);
    waitpid(broker->pid, NULL, WUNTRACED);
}

void broker_resume(const struct broker *broker)
{
    kill(broker->pid, SIGCONT);
}
