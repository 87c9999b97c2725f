#pragma once
// System calls that Swift's Glibc module leaves out.
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/vfs.h>

// glibc declares these for _GNU_SOURCE alone, and with that its other types would differ from those of the Glibc module.
extern int accept4(int fd, struct sockaddr *address, socklen_t *length, int flags);
extern int sched_getaffinity(pid_t pid, size_t size, cpu_set_t *set);
#ifndef F_OFD_SETLK
#define F_OFD_SETLK 37
#endif

// `stdout` is a mutable global, which Swift 6 does not touch. Each printed line then goes out at once, also into a pipe.
static inline void parley_line_buffer_stdout(void) { setvbuf(stdout, 0, _IOLBF, 0); }

// Whether anything that was printed could not be written.
static inline int parley_flush_stdout(void) { return fflush(stdout) != 0 || ferror(stdout) != 0; }

// Variadic in C, so Swift cannot call it.
static inline int parley_lock(int fd, struct flock *range) { return fcntl(fd, F_OFD_SETLK, range); }
