#pragma once
// System calls that are missing in Swift's module Glibc.
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/vfs.h>

// glibc declares these only with _GNU_SOURCE, which would make its other types differ from those of
// the module Glibc.
extern int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
extern int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#endif
#ifndef F_OFD_GETLK
#define F_OFD_GETLK 36
#endif

// Makes standard output line-buffered, also if it is a pipe. Swift 6 cannot access `stdout`, a
// mutable global variable.
static inline void parley_line_buffer_stdout(void) { setvbuf(stdout, 0, _IOLBF, 0); }

// Flushes standard output. Returns whether any write to it has failed.
static inline int parley_flush_stdout(void) { return fflush(stdout) != 0 || ferror(stdout) != 0; }

// Locks a range of a file. Swift cannot call `fcntl`, which is variadic.
static inline int parley_lock(int fd, struct flock *range) { return fcntl(fd, F_OFD_SETLK, range); }

// Finds a lock that excludes `range`, or sets its type to F_UNLCK.
static inline int parley_test_lock(int fd, struct flock *range) { return fcntl(fd, F_OFD_GETLK, range); }
