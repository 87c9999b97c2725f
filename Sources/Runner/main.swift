import CLinux
import Glibc

// A peer that goes away must not end the process.
signal(SIGPIPE, SIG_IGN)
parley_line_buffer_stdout()
exit(Command.run(Array(CommandLine.arguments.dropFirst())))
