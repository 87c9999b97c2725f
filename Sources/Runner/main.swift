import CLinux
import Glibc

// A peer that goes away must not end the process.
signal(SIGPIPE, SIG_IGN)
// A file that took the number of a closed standard stream would be written to in its place.
for descriptor in 0...2 as ClosedRange<Int32> where fcntl(descriptor, F_GETFD) < 0 {
  // The lowest free number, which is this one.
  _ = open("/dev/null", O_RDWR)
}
parley_line_buffer_stdout()
exit(Command.run(Array(CommandLine.arguments.dropFirst())))
