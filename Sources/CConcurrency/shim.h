#pragma once
// Where Swift's runtime puts the jobs that no executor claims: `swift_task_enqueueGlobal_hook` (swift/Runtime/Concurrency.h). A function of
// two pointers, the job and the runtime's own function for it; for these Swift's calling convention is C's.
extern void *swift_task_enqueueGlobal_hook;

typedef void (*parley_enqueue)(void *job, void *original);
typedef void (*parley_enqueue_original)(void *job);

static inline void parley_set_enqueue_hook(parley_enqueue enqueue) { swift_task_enqueueGlobal_hook = (void *)enqueue; }

static inline void parley_enqueue_elsewhere(void *job, void *original) { ((parley_enqueue_original)original)(job); }

// One pointer for each thread. Each Swift module that asked for it would have its own, so one does.
static inline void **parley_thread_slot(void) {
  static _Thread_local void *pointer;
  return &pointer;
}

static inline void *parley_thread_get(void) { return *parley_thread_slot(); }

static inline void parley_thread_set(void *value) { *parley_thread_slot() = value; }
