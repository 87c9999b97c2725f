import CLinux
import Glibc

// Writing to a closed connection must not end the process.
signal(SIGPIPE, SIG_IGN)
// If a standard stream is closed, the next file would get its number and its output.
for descriptor in 0...2 as ClosedRange<Int32> where fcntl(descriptor, F_GETFD) < 0 {
  // The lowest free number: that of the closed stream.
  _ = open("/dev/null", O_RDWR)
}
parley_line_buffer_stdout()
exit(Command.run(Array(CommandLine.arguments.dropFirst())))
