"""Completions by bash, and the manual page by groff."""

import re
import shutil
import subprocess
import unittest

from test_backup import parley


def program(name, package):
    path = shutil.which(name)
    if not path:
        raise RuntimeError(f"{name} is needed (Debian: apt-get install {package})")
    return path


class Shell(unittest.TestCase):
    def complete(self, *words):
        """What bash offers for the last word."""
        script = parley("completions", "bash").stdout + f"""
            COMP_WORDS=({" ".join(f"'{word}'" for word in words)}) COMP_CWORD={len(words) - 1}
            _parley
            printf '%s\\n' "${{COMPREPLY[@]}}"
        """
        done = subprocess.run([program("bash", "bash"), "-u", "-c", script], capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return done.stdout.split()

    def test_bash(self):
        self.assertEqual(self.complete("parley", "ba"), ["backup"])
        self.assertEqual(self.complete("parley", "serve", "--users-p"), ["--users-port"])
        self.assertEqual(self.complete("parley", "serve", "--service-token"), ["--service-token", "--service-token-file"])
        self.assertEqual(self.complete("parley", "serve", "ch"), ["chat"])
        self.assertEqual(self.complete("parley", "queues", "p"), ["peek", "purge"])
        self.assertEqual(self.complete("parley", "completions", ""), ["bash", "zsh", "fish"])
        self.assertEqual(self.complete("parley", "help", "re"), ["restore"])

    def test_every_command(self):
        commands = self.complete("parley", "")
        self.assertIn("serve", commands)
        for command in commands:
            done = parley("help", command)
            self.assertEqual(done.returncode, 0, command)
            flags = set(re.findall(r"^  (--[a-z-]+)", done.stdout, re.MULTILINE))
            self.assertEqual({word for word in self.complete("parley", command, "") if word.startswith("--")}, flags, command)
            for shell in ("zsh", "fish"):
                text = parley("completions", shell).stdout
                for flag in flags:
                    self.assertRegex(text, flag if shell == "zsh" else f"{command}' -l {flag[2:]}")

    def test_manual(self):
        page = parley("manual").stdout
        done = subprocess.run([program("groff", "groff"), "-K", "utf8", "-man", "-Tutf8", "-ww", "-rLL=120n"], input=page,
                              capture_output=True, text=True)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        text = re.sub(r"\x1b\[[0-9;]*m|.\x08", "", done.stdout)
        for part in ("--service-token-file FILE", "PARLEY_USERS_PORT", "parley backup --to DIR", "Default: 8001.", "EXIT STATUS"):
            self.assertIn(part, text)


if __name__ == "__main__":
    unittest.main()
