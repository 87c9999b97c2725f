#pragma once
// System calls that are missing in Swift's module Glibc.
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

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

// Prepares a listening socket of another process for this one. Returns 0, or -1 with errno.
static inline int parley_adopt(int fd) {
  int listens = 0;
  socklen_t length = sizeof listens;
  if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &length) != 0) return -1;
  if (!listens) {
    errno = EINVAL;
    return -1;
  }
  int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return -1;
  return fcntl(fd, F_SETFD, FD_CLOEXEC);
}

// Sends a datagram to a Unix socket, of which a path that begins with @ is an abstract name. Returns 0,
// or -1 with errno.
static inline int parley_notify(const char *path, const char *text) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  size_t length = strlen(path);
  if (length == 0 || length >= sizeof address.sun_path) {
    errno = EINVAL;
    return -1;
  }
  memcpy(address.sun_path, path, length);
  if (path[0] == '@') address.sun_path[0] = 0;
  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  ssize_t sent = sendto(fd, text, strlen(text), MSG_NOSIGNAL, (struct sockaddr *)&address,
                        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
  int error = errno;
  close(fd);
  errno = error;
  return sent < 0 ? -1 : 0;
}
