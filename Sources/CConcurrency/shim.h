#pragma once
// Entry points of Swift's runtime for Sources/System/RuntimeHooks (swift/Runtime/Concurrency.h,
// swift/ABI/Task.h).

// The runtime calls this hook for each job of the global executor, with the job and the original
// function. For a function of two pointers Swift's calling convention is the same as C's.
extern void *swift_task_enqueueGlobal_hook;

typedef void (*parley_enqueue)(void *job, void *original);
typedef void (*parley_enqueue_original)(void *job);

static inline void parley_set_enqueue_hook(parley_enqueue enqueue) { swift_task_enqueueGlobal_hook = (void *)enqueue; }

static inline void parley_enqueue_elsewhere(void *job, void *original) { ((parley_enqueue_original)original)(job); }

// One pointer for each thread. Each Swift module that includes this file has its own variable, so
// only RuntimeHooks may use it.
static inline void **parley_thread_slot(void) {
  static _Thread_local void *pointer;
  return &pointer;
}

static inline void *parley_thread_get(void) { return *parley_thread_slot(); }

static inline void parley_thread_set(void *value) { *parley_thread_slot() = value; }

// The place for the next job that this thread gives to the global executor, or NULL.
static inline void ***parley_job_slot(void) {
  static _Thread_local void **place;
  return &place;
}

// Makes the next job of this thread go to a place.
static inline void parley_take_next_job(void **place) { *parley_job_slot() = place; }

// Gives a job to the place of parley_take_next_job. Returns 0 if there is none.
static inline int parley_give_job(void *job) {
  void **place = *parley_job_slot();
  if (!place) return 0;
  *place = job;
  *parley_job_slot() = 0;
  return 1;
}

// Returns the default actor that a job runs, or NULL for a job of a task. A job has an object
// header, two words for its scheduler, its flags (the low byte is its kind) and its id, a voucher,
// a reserved word and a function. In a job of a default actor that is allocated separately (kind
// 193), the actor follows.
static inline void *parley_default_actor(void *job) {
  void **words = (void **)job;
  return (*(unsigned *)&words[4] & 255) == 193 ? words[8] : (void *)0;
}

// The entry points of `withTaskCancellationHandler`. The handler is a Swift closure, a function
// that receives its context in a dedicated register.
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

// Sets the function that receives the objects of parley_begin_cancellation when their tasks are
// cancelled. Must be called once, before the first parley_begin_cancellation.
static inline void parley_set_cancelled(parley_cancelled cancelled) { *parley_cancelled_slot() = cancelled; }

static inline void *parley_begin_cancellation(void *object) {
  return swift_task_addCancellationHandler(parley_call_cancelled, object);
}

static inline void parley_end_cancellation(void *record) { swift_task_removeCancellationHandler(record); }
