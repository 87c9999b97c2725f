// Tells the thread sanitizer of contended locks of Swift's Mutex. Loaded with LD_PRELOAD by
// scripts/races.
//
// The uncontended path is compiled into the program, where the sanitizer sees its atomic operations.
// The contended one is in Swift's library, which is not instrumented. Without these functions, the
// sanitizer reports races between critical sections of one mutex.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>

#define LOCK "$s15Synchronization12_MutexHandleV9_lockSlowyys6UInt32VF"
#define UNLOCK "$s15Synchronization12_MutexHandleV11_unlockSlowyyF"
#define SWIFT __attribute__((swiftcall))
#define SELF __attribute__((swift_context)) void *

typedef SWIFT void (*lock_function)(uint32_t, SELF);
typedef SWIFT void (*unlock_function)(SELF);
typedef void (*note_function)(void *);

SWIFT void races_lock(uint32_t thread, SELF mutex) __asm__(LOCK);
SWIFT void races_unlock(SELF mutex) __asm__(UNLOCK);

static lock_function lock;
static unlock_function unlock;
static note_function acquire, release;

__attribute__((constructor)) static void find(void) {
  lock = (lock_function)dlsym(RTLD_NEXT, LOCK);
  unlock = (unlock_function)dlsym(RTLD_NEXT, UNLOCK);
  acquire = (note_function)dlsym(RTLD_DEFAULT, "__tsan_acquire");
  release = (note_function)dlsym(RTLD_DEFAULT, "__tsan_release");
}

SWIFT void races_lock(uint32_t thread, SELF mutex) {
  lock(thread, mutex);
  if (acquire) acquire(mutex);
}

SWIFT void races_unlock(SELF mutex) {
  if (release) release(mutex);
  unlock(mutex);
}
