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
  static _Thread_local void *pointer __attribute__((tls_model("initial-exec")));
  return &pointer;
}

static inline void *parley_thread_get(void) { return *parley_thread_slot(); }

static inline void parley_thread_set(void *value) { *parley_thread_slot() = value; }

// What `withTaskCancellationHandler` is made of, and every program that calls it is linked against (swift/Runtime/Concurrency.h). The
// handler is a Swift closure: a function that gets its context in a register of its own.
typedef __attribute__((swiftcall)) void (*parley_handler)(__attribute__((swift_context)) void *object);
extern __attribute__((swiftcall)) void *swift_task_addCancellationHandler(parley_handler handler, void *object);
extern __attribute__((swiftcall)) void swift_task_removeCancellationHandler(void *record);

typedef void (*parley_cancelled)(void *object);

static inline parley_cancelled *parley_cancelled_slot(void) {
  static parley_cancelled cancelled;
  return &cancelled;
}

__attribute__((swiftcall)) static void parley_call_cancelled(__attribute__((swift_context)) void *object) {
  (*parley_cancelled_slot())(object);
}

// What is called with the object that was handed to parley_begin_cancellation; set once, before the first.
static inline void parley_set_cancelled(parley_cancelled cancelled) { *parley_cancelled_slot() = cancelled; }

static inline void *parley_begin_cancellation(void *object) {
  return swift_task_addCancellationHandler(parley_call_cancelled, object);
}

static inline void parley_end_cancellation(void *record) { swift_task_removeCancellationHandler(record); }
