/* Parent and worker. The first process of the container is a small parent that keeps the
 * listening socket and starts a new worker when one ends unexpectedly: at once after a
 * first crash, then after 100 ms, 200 ms … 5 s; a worker that lived for a minute starts the
 * count anew. kubelet sees neither a container that ended nor a refused connection; probes
 * wait in the socket's backlog.
 *
 * SIGTERM and SIGINT go to the worker, which is killed if it is not gone after
 * SUPERVISOR_STOP_MS; a worker that has something to finish asks for patience (SIGUSR1 to its
 * parent) and is given patience_ms. SIGHUP goes to the worker. The worker dies with the parent
 * (PR_SET_PDEATHSIG). An exit with EXIT_CODE_USAGE or EXIT_CODE_CONFIG is not retried. */
#ifndef RPA_SHELL_SUPERVISOR_H
#define RPA_SHELL_SUPERVISOR_H

#include <stdint.h>

#define SUPERVISOR_STOP_MS 950
#define SUPERVISOR_DELAY_MIN_MS 100
#define SUPERVISOR_DELAY_MAX_MS 5000
#define SUPERVISOR_HEALTHY_MS 60000

/* Runs in the child; its result is the child's exit code. restarts: 0 for the first. */
typedef int supervisor_worker_fn(void *arg, unsigned restarts);

/* Returns the exit code for the parent. To be called before any thread or loop exists. */
int supervisor_run(supervisor_worker_fn *worker, void *arg, uint64_t patience_ms);

/* In the worker, after SIGTERM: the stop will take longer. */
void supervisor_be_patient(void);

#endif
