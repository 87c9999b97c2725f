"""The server works if the kernel or a sandbox does not support epoll_pwait2 (Linux 5.11)."""

import ctypes
import errno
import struct
import time
import unittest

from harness import Client, Server

EPOLL_PWAIT2 = 441
NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2
LOAD, JUMP_IF_EQUAL, RETURN = 0x20, 0x15, 0x06
ERROR, ALLOW = 0x00050000, 0x7FFF0000


def without(number, code):
    """Returns a function for the child process that makes the system call fail with `code`
    (seccomp(2))."""
    program = b"".join(struct.pack("=HBBI", *line) for line in [
        (LOAD, 0, 0, 0), (JUMP_IF_EQUAL, 0, 1, number), (RETURN, 0, 0, ERROR | code), (RETURN, 0, 0, ALLOW)])
    buffer = ctypes.create_string_buffer(program)
    # struct sock_fprog: a count and an aligned pointer.
    filter_program = struct.pack("HP", len(program) // 8, ctypes.addressof(buffer))
    library = ctypes.CDLL(None, use_errno=True)

    def install():
        if library.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or library.prctl(SECCOMP, FILTER, filter_program):
            raise OSError(ctypes.get_errno(), "no seccomp filter")
    # The function keeps both alive.
    install.kept = buffer
    return install


class Sandbox(unittest.TestCase):
    def test_without_epoll_pwait2(self):
        for code in (errno.ENOSYS, errno.EPERM):
            with self.subTest(errno.errorcode[code]), Server(sandbox=without(EPOLL_PWAIT2, code)) as server:
                client = Client(server.port)
                self.assertEqual(client.register("ann")[0], 201)
                for _ in range(20):
                    self.assertEqual(client.send("GET", "/health")[0], 200)
                    # The loop waits for the connection's time-out.
                    time.sleep(0.01)
                self.assertEqual(client.login("ann")[0], 200)


if __name__ == "__main__":
    unittest.main()
