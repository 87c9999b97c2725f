"""Reads Swift source as `swift format` leaves it: one statement a line, spaces around operators.

This is no parser of Swift. It knows strings, comments, brackets, what kind of block a brace opens,
and where statements begin and end. A mutant that it gets wrong does not compile, and is dropped.
"""

import bisect
import re
from dataclasses import dataclass, field

TYPE = re.compile(r"\b(?:struct|class|actor|enum|extension|protocol)\s+([A-Z]\w*)")
FUNCTION = re.compile(r"\b(?:func\b|init[?(<]|deinit\b|subscript\b)")
VARIABLE = re.compile(r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:(?:public|private|fileprivate|internal|static|lazy|final|nonisolated"
                      r"|override|private\(set\)|nonisolated\(unsafe\))\s+)*(?:var|let)\s+\w+\s*:[^=]*$", re.S)
CONTROL = re.compile(r"^\s*(?:\}\s*)?(?:\w+:\s*)?(if|else|guard|while|for|repeat|switch|do|catch|defer)\b")
ACCESSOR = re.compile(r"^\s*(?:get|set|willSet|didSet|_read|_modify)\b")
CLOSURE_HEADER = re.compile(r"\s*(?:\[[^\]]*\]\s*)?(?:\((?:[^()]|\([^()]*\))*\)|[\w, ]+?)?\s*(?:async\s*)?(?:throws(?:\([^)]*\))?\s*)?"
                            r"(?:->\s*[^{}\n]+?)?\s*\bin\b")
CONTINUES = re.compile(r"(?:\.[a-zA-Z]|\?|:|&&|\|\||\+|-\s|\*|/|==|!=|<|>|=|\?\?|,|else\b|catch\b|while\b(?=[^{]*$)|\))")
# An operator at the end of a line has a space before it; the `?` and `>` of a type have none.
UNFINISHED = re.compile(r"(?: [-=+*&|<>?/!]+|[,:(\[]|\bin|\breturn|\belse)$")


@dataclass
class Block:
    """What a pair of braces holds."""
    kind: str  # type, function, getter, closure, switch, or another control block
    start: int
    end: int
    header: str
    parent: "Block | None" = None
    statements: list = field(default_factory=list)

    @property
    def function(self):
        """The block of the function around this one; None within a closure or a `defer`."""
        block = self
        while block and block.kind not in ("function", "getter"):
            if block.kind in ("closure", "type", "defer"):
                return None
            block = block.parent
        return block

    @property
    def name(self):
        """The function or the variable that holds this block, or the type."""
        block = self
        while block:
            found = re.search(r"\b(?:func|var|let)\s+(`?\w+`?|[^\s\w(]+)|\b(init|deinit|subscript)\b", block.header)
            if block.kind in ("function", "getter") and found:
                return found.group(1) or found.group(2)
            if block.kind == "type":
                return TYPE.search(block.header).group(1)
            block = block.parent
        return ""


@dataclass
class Statement:
    start: int
    end: int
    block: Block


class Source:
    def __init__(self, path, text):
        self.path = path
        self.text = text
        self.literals = []
        self.code = self._mask()
        self.lines = [0] + [i + 1 for i, c in enumerate(text) if c == "\n"]
        self.partner = self._pair()
        self.blocks = []
        self._read_blocks()

    def line(self, offset):
        return bisect.bisect_right(self.lines, offset)

    def line_text(self, offset):
        start = self.lines[self.line(offset) - 1]
        return self.text[start:self.text.find("\n", start)].strip()

    @property
    def code_lines(self):
        return sum(1 for line in self.code.split("\n") if line.strip())

    def _mask(self):
        """The text with every comment blank and every character of a string replaced by `s`."""
        text, out, i = self.text, list(self.text), 0
        while i < len(text):
            if text.startswith("//", i):
                end = text.find("\n", i)
                end = len(text) if end < 0 else end
                out[i:end] = " " * (end - i)
            elif text.startswith("/*", i):
                end = text.find("*/", i)
                end = len(text) if end < 0 else end + 2
                out[i:end] = [c if c == "\n" else " " for c in text[i:end]]
            elif text[i] == '"' or text[i] == "#" and re.match(r'#+"', text[i:i + 5]):
                end = self._string_end(i)
                self.literals.append((i, end))
                out[i:end] = [c if c == "\n" else "s" for c in text[i:end]]
                out[i] = out[end - 1] = '"'
            else:
                end = i + 1
            i = end
        return "".join(out)

    def _string_end(self, i):
        text = self.text
        hashes = len(re.match("#*", text[i:]).group())
        i += hashes
        quote = '"""' if text.startswith('"""', i) else '"'
        close, escape = quote + "#" * hashes, "\\" + "#" * hashes
        i += len(quote)
        while i < len(text):
            if text.startswith(close, i):
                return i + len(close)
            if text.startswith(escape + "(", i):
                i, depth = i + len(escape) + 1, 1
                while depth:
                    if text[i] == '"':
                        i = self._string_end(i)
                        continue
                    depth += {"(": 1, ")": -1}.get(text[i], 0)
                    i += 1
            else:
                i += len(escape) + 1 if text.startswith(escape, i) else 1
        return len(text)

    def _pair(self):
        partner, open_ = {}, []
        for i, c in enumerate(self.code):
            if c in "([{":
                open_.append(i)
            elif c in ")]}":
                start = open_.pop()
                partner[start], partner[i] = i, start
        return partner

    def _read_blocks(self):
        around = []
        for i, c in enumerate(self.code):
            while around and i > around[-1].end:
                around.pop()
            if c != "{":
                continue
            parent = around[-1] if around else None
            header = self._header(i, parent)
            block = Block(self._kind(header), i, self.partner[i], header, parent)
            self.blocks.append(block)
            around.append(block)
        for block in self.blocks:
            if block.kind != "type":
                block.statements = self._statements(block)

    def _header(self, brace, parent):
        """The text from the beginning of the statement to its brace."""
        i, low = brace - 1, parent.start + 1 if parent else 0
        while i >= low:
            c = self.code[i]
            if c in ")]}":
                if c == "}" and not re.match(r"\}\s*(?:else|catch|while)\b", self.code[i:i + 12]):
                    break
                i = self.partner[i] - 1
                continue
            if c in "([":
                return self.code[i + 1:brace]
            if c in ";{":
                break
            if c == "\n":
                before = self.code[low:i].rstrip()
                rest = self.code[i:brace].lstrip()
                if rest and not CONTINUES.match(rest) and not UNFINISHED.search(before[-12:]):
                    break
            i -= 1
        return self.code[i + 1:brace]

    def _kind(self, header):
        header = re.sub(r"^\s*(?:case\b[^:]*|default):(?!:)", "", header)
        if TYPE.search(header) and not FUNCTION.search(header) and "=" not in header:
            return "type"
        control = CONTROL.match(header)
        if control:
            return control.group(1)
        if FUNCTION.search(header) and "=" not in re.sub(r"\([^()]*(?:\([^()]*\)[^()]*)*\)|==", "", header):
            return "function"
        if ACCESSOR.match(header) or VARIABLE.match(header):
            return "getter"
        if re.search(r"(?:=|return)\s*(?:try\s+|await\s+)*switch\b", header):
            return "switch"
        if re.search(r"(?:=|return)\s*(?:\w+\s+)*if\b|\}\s*else\s*$", header):
            return "if"
        return "closure"

    def _statements(self, block):
        code, i = self.code, block.start + 1
        if block.kind == "closure":
            header = CLOSURE_HEADER.match(code, i, block.end)
            if header:
                i = header.end()
        found = []
        while i < block.end:
            while i < block.end and code[i] in " \n;":
                i += 1
            if i >= block.end:
                break
            label = re.compile(r"(?:@unknown )?(?:case\b|default\b)").match(code, i)
            if label and block.kind == "switch":
                while code[i] != ":":
                    i = self.partner[i] + 1 if code[i] in "([{" else i + 1
                i += 1
                continue
            start = i
            while i < block.end and code[i] != ";":
                if code[i] in "([{":
                    i = self.partner[i] + 1
                elif code[i] == "\n" and not self._goes_on(start, i, block):
                    break
                else:
                    i += 1
            end = min(i, block.end)
            while code[end - 1] in " \n":
                end -= 1
            found.append(Statement(start, end, block))
        return found

    def _goes_on(self, start, newline, block):
        before = self.code[start:newline].rstrip()
        after = self.code[newline:block.end].lstrip()
        if not after:
            return False
        return bool(UNFINISHED.search(before[-12:]) or CONTINUES.match(after[:80].split("\n")[0]))

    def innermost(self, offset):
        best = None
        for block in self.blocks:
            if block.start < offset <= block.end and (best is None or block.start > best.start):
                best = block
        return best

    def top_level(self, start, end, separator):
        """The parts of a span between separators that are in no bracket."""
        parts, i, begin = [], start, start
        while i < end:
            if self.code[i] in "([{":
                i = self.partner[i] + 1
            elif self.code[i] == separator:
                parts.append((begin, i))
                i += 1
                begin = i
            else:
                i += 1
        parts.append((begin, end))
        return parts
