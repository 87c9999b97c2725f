#pragma once
// The runtime's entry points behind Sources/System/RuntimeHooks (swift/Runtime/Concurrency.h, swift/ABI/Task.h).

// The runtime calls this hook for each job of the global executor, with the job and its own function for it. Swift's calling
// convention is C's for a function of two pointers.
extern void *swift_task_enqueueGlobal_hook;

typedef void (*parley_enqueue)(void *job, void *original);
typedef void (*parley_enqueue_original)(void *job);

static inline void parley_set_enqueue_hook(parley_enqueue enqueue) { swift_task_enqueueGlobal_hook = (void *)enqueue; }

static inline void parley_enqueue_elsewhere(void *job, void *original) { ((parley_enqueue_original)original)(job); }

// One pointer for each thread. A static inline variable is one for each Swift module, so only RuntimeHooks uses it.
static inline void **parley_thread_slot(void) {
  static _Thread_local void *pointer;
  return &pointer;
}

static inline void *parley_thread_get(void) { return *parley_thread_slot(); }

static inline void parley_thread_set(void *value) { *parley_thread_slot() = value; }

// The default actor that a job runs, or NULL for a job of a task. A job is an object header, two words for its scheduler, its
// flags (the low byte is its kind) and its id, a voucher, a reserved word and a function. A job of a default actor that is not
// inline in the actor (kind 193) has the actor next.
static inline void *parley_default_actor(void *job) {
  void **words = (void **)job;
  return (*(unsigned *)&words[4] & 255) == 193 ? words[8] : (void *)0;
}

// The entry points of `withTaskCancellationHandler`. The handler is a Swift closure: a function that gets its context in a
// register of its own.
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

// Sets the function that gets the objects of parley_begin_cancellation. Called once, before the first.
static inline void parley_set_cancelled(parley_cancelled cancelled) { *parley_cancelled_slot() = cancelled; }

static inline void *parley_begin_cancellation(void *object) {
  return swift_task_addCancellationHandler(parley_call_cancelled, object);
}

static inline void parley_end_cancellation(void *record) { swift_task_removeCancellationHandler(record); }
