#pragma once
// Where Swift's runtime puts the jobs that no executor claims: `swift_task_enqueueGlobal_hook` (swift/Runtime/Concurrency.h). A function of
// two pointers, the job and the runtime's own function for it; for these Swift's calling convention is C's.
#include <pthread.h>

extern void *swift_task_enqueueGlobal_hook;

typedef void (*parley_enqueue)(void *job, void *original);
typedef void (*parley_enqueue_original)(void *job);

static inline void parley_set_enqueue_hook(parley_enqueue enqueue) { swift_task_enqueueGlobal_hook = (void *)enqueue; }

static inline void parley_enqueue_elsewhere(void *job, void *original) { ((parley_enqueue_original)original)(job); }

// One pointer for each thread.
static inline pthread_key_t parley_thread_key(void) {
  pthread_key_t key;
  return pthread_key_create(&key, 0) == 0 ? key : (pthread_key_t)-1;
}

static inline void *parley_thread_get(pthread_key_t key) { return pthread_getspecific(key); }

static inline void parley_thread_set(pthread_key_t key, void *value) { pthread_setspecific(key, value); }
