"""The operators: each finds places in a source, and says how the text changes there.

Every change keeps the number of lines, so that a compiler error names the mutant.
"""

import re
from dataclasses import dataclass

# Rules for code in which a change is no bug of the system. Folders and files of Sources/System:
EXCLUDED_FILES = {
    "RuntimeHooks/": "hooks of Swift's runtime, not the system's own logic",
    "PlantedBugs/": "bugs planted on purpose",
    "/Planted": "bugs planted on purpose",
    "Chat/Console/": "the text of a page for browsers; no simulated person is a browser",
    "HTTP/OpenAPI.swift": "documentation made of the route tables",
    "HTTP/AsyncAPI.swift": "documentation made of the message tables",
    "HTTP/DocumentationPage.swift": "documentation made of the tables",
    "HTTP/Metrics.swift": "numbers for operators; no promise speaks of them",
    "HTTP/RequestLog.swift": "the log",
    "Environment/Log.swift": "the log",
    "Routing/OperatorPage.swift": "a page for operators",
    "Sockets/EchoServers.swift": "servers for tests of protocols; no service uses them",
    "Wire/TrafficDecoder.swift": "used by `parley explain` only",
}
# Statements and conditions that hold one of these words:
EXCLUDED_TEXT = {
    "log.": "writes to the log",
    "metrics.": "counts for operators",
    "planted(": "asks for a bug planted on purpose",
    "require(": "states an invariant; without it nothing else changes",
    "assert(": "states an invariant, and is gone in release",
}
# Functions and variables:
EXCLUDED_NAMES = {"description": "text for people"}

KEYWORDS = {
    "return", "if", "let", "var", "switch", "for", "while", "guard", "throw", "continue", "break", "defer", "do", "func",
    "case", "repeat", "fatalError", "require", "precondition", "typealias", "struct", "enum", "class", "actor", "else",
    "fallthrough", "super", "where", "async",
}


@dataclass(frozen=True)
class Edit:
    start: int
    end: int
    text: str


@dataclass
class Candidate:
    source: object
    operator: str
    start: int
    end: int
    about: str
    # Returns the edits, given the number of the mutant.
    edits: object
    number: int = -1

    @property
    def line(self):
        return self.source.line(self.start)

    @property
    def function(self):
        block = self.source.innermost(self.start)
        return block.name if block else ""

    @property
    def key(self):
        """What identifies the mutant when lines move."""
        return " | ".join([self.source.path, self.function, self.operator, self.source.line_text(self.start)])


def is_excluded_file(path):
    return any(part in "/" + path for part in EXCLUDED_FILES)


def is_excluded(source, start, end):
    text = source.text[start:end]
    if any(word in text for word in EXCLUDED_TEXT):
        return True
    block = source.innermost(start)
    return bool(block) and block.name in EXCLUDED_NAMES


def short(text, limit=70):
    text = re.sub(r"\s+", " ", text).strip()
    return text if len(text) <= limit else text[:limit - 1] + "…"


# MARK: Effects

PREFIX = re.compile(r"(?:_ = )?(?:try[?!]? )?(?:await )?")


def chain_end(source, start, end):
    """The end of a chain of names, calls and subscripts, and whether it ends with a call."""
    code, i, is_call = source.code, start, False
    while i < end:
        name = re.compile(r"(?:self|[A-Za-z_$][\w$]*)").match(code, i, end)
        if name and (i == start or code[i - 1] == "."):
            i, is_call = name.end(), False
        elif code[i] == "." and i + 1 < end and re.match(r"[A-Za-z_]", code[i + 1]):
            i += 1
        elif code[i] in "?!" and i > start:
            i += 1
        elif code[i] in "([" and i > start and code[i - 1] not in " .":
            is_call = code[i] == "("
            i = source.partner[i] + 1
        elif code.startswith(" {", i) and i + 1 < end:
            is_call = True
            i = source.partner[i + 1] + 1
        elif re.compile(r"\s*\n\s*\.").match(code, i, end):
            i = re.compile(r"\s*\n\s*").match(code, i, end).end()
        else:
            break
    return i, is_call


def effect(source, statement):
    """What a statement is: `call`, `store`, or None."""
    code = source.code
    start = PREFIX.match(code, statement.start).end()
    first = re.compile(r"[A-Za-z_$][\w$]*").match(code, start)
    if not first or first.group() in KEYWORDS:
        return None
    end, is_call = chain_end(source, start, statement.end)
    if end == statement.end:
        return "call" if is_call else None
    if start == statement.start and re.compile(r"\s*(?:[-+*/|&^]|<<|>>)?= ?").match(code, end):
        return "store"
    return None


def is_safe_store(source, statement):
    """Not the first value of a constant or of a property, which Swift demands."""
    block = statement.block
    while block and block.kind not in ("function", "getter", "closure"):
        block = block.parent
    if not block or not re.search(r"\binit[?(<]", block.header):
        return True
    return not re.match(r"(?:self\.)?\w+ = ", source.code[statement.start:statement.end])


def is_result(block):
    """Whether the only statement of a block is its value."""
    if len(block.statements) > 1:
        return False
    return block.kind in ("getter", "closure") or block.kind == "function" and "->" in block.header


def leave_out(source):
    for block in source.blocks:
        for statement in block.statements:
            kind = effect(source, statement)
            if not kind or is_excluded(source, statement.start, statement.end):
                continue
            if kind == "store" and not is_safe_store(source, statement) or is_result(block):
                continue

            def edits(n, s=statement):
                return [Edit(s.start, s.start, f"if !Mutant.on({n}) {{ "), Edit(s.end, s.end, " }")]

            text = short(source.text[statement.start:statement.end])
            yield Candidate(source, "leave-out", statement.start, statement.end, f"without `{text}`", edits)


def swap(source):
    for block in source.blocks:
        for first, second in zip(block.statements, block.statements[1:]):
            if not effect(source, first) or not effect(source, second):
                continue
            # A label of a `switch` may be between them.
            if source.code[first.end:second.start].strip(" \n;") or is_excluded(source, first.start, second.end):
                continue
            one, other = source.text[first.start:first.end], source.text[second.start:second.end]
            if "\n" in one or "\n" in other or not (is_safe_store(source, first) and is_safe_store(source, second)):
                continue

            def edits(n, a=first, b=second, one=one, other=other):
                return [
                    Edit(a.start, a.start, f"if Mutant.on({n}) {{ {other}; {one} }} else {{ "), Edit(b.end, b.end, " }"),
                ]

            yield Candidate(
                source, "swap", first.start, second.end, f"`{short(other, 40)}` before `{short(one, 40)}`", edits)


# MARK: Conditions


def conditions(source):
    """The Boolean elements of conditions: (keyword, start, end)."""
    for found in re.finditer(r"(?<![.\w#])(if|guard|while|where)\s+", source.code):
        keyword, i = found.group(1), found.end()
        end = i
        limit = len(source.code)
        while end < limit:
            c = source.code[end]
            if c in "([":
                end = source.partner[end] + 1
                continue
            if c == "{" or c in ")]}" or keyword == "where" and c == ":" or c == ";":
                break
            if keyword == "guard" and re.compile(r"else\b").match(source.code, end) and source.code[end - 1] in " \n":
                break
            end += 1
        if keyword == "where" and not re.search(r"\bfor\b|\bcase\b", source.line_text(found.start())):
            continue
        if re.search(r"\b(?:extension|func|struct|class|init)\b", source.line_text(found.start())) and keyword == "where":
            continue
        for start, stop in source.top_level(i, end, ","):
            while start < stop and source.code[start] in " \n":
                start += 1
            while stop > start and source.code[stop - 1] in " \n":
                stop -= 1
            if stop <= start or re.match(r"(?:let|var|case|#|_)\b", source.code[start:stop]):
                continue
            if not is_excluded(source, start, stop):
                yield keyword, start, stop


def negate(source):
    for keyword, start, end in conditions(source):
        def edits(n, start=start, end=end):
            return [Edit(start, start, f"Mutant.flip({n}, "), Edit(end, end, ")")]

        yield Candidate(source, "negate", start, end, f"{keyword} not `{short(source.text[start:end])}`", edits)


def unchecked(source):
    for keyword, start, end in conditions(source):
        if keyword == "while":
            continue
        value = keyword in ("guard", "where")
        name = "holds" if value else "fails"

        def edits(n, start=start, end=end, name=name):
            return [Edit(start, start, f"Mutant.{name}({n}, "), Edit(end, end, ")")]

        about = f"{keyword} `{short(source.text[start:end])}` is always {'true' if value else 'false'}"
        yield Candidate(source, "unchecked", start, end, about, edits)


def symbol(number):
    """A suffix of operator characters for a number."""
    digits = "⊕⊖⊗⊘"
    text = ""
    for _ in range(6):
        text += digits[number % 4]
        number //= 4
    return text


# Operators, what they become, and the precedence group of their declaration.
COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">"}
LOGICAL = {"&&": "||", "||": "&&"}


def infix(source, pattern, operator, about):
    for found in re.finditer(pattern, source.code):
        start, end = found.span(1)
        if re.search(r"\b(?:func|operator|infix|precedencegroup)\b", source.line_text(start)):
            continue
        block = source.innermost(start)
        if not block or is_excluded(source, source.lines[source.line(start) - 1], end):
            continue
        old = found.group(1)

        def edits(n, start=start, end=end, old=old):
            return [Edit(start, end, old + symbol(n))]

        yield Candidate(source, operator, start, end, about(old, source, start), edits)


def bound(source):
    where = lambda source, start: short(source.line_text(start))
    yield from infix(
        source, r"(?<=[\w)\]!]) (<=|>=|<|>)(?= )", "bound",
        lambda old, s, i: f"`{COMPARISONS[old]}` for `{old}` in `{where(s, i)}`")
    yield from infix(
        source, r"(?<=[\w)\]])(\.\.<|\.\.\.)(?=[\w(])", "bound", lambda old, s, i: f"one fewer in `{where(s, i)}`")
    for found in re.finditer(r"(?<=[\w)\]!]) (\+|-|\+=|-=) (1)\b(?!\.|_)", source.code):
        start, end = found.span(2)
        if not source.innermost(start) or is_excluded(source, source.lines[source.line(start) - 1], end):
            continue
        for other in (0, 2):
            def edits(n, start=start, end=end, other=other):
                return [Edit(start, end, f"Mutant.pick({n}, 1, {other})")]

            yield Candidate(
                source, "bound", start, end, f"{other} for 1 in `{where(source, start)}`", edits)


def boolean(source):
    yield from infix(
        source, r" (&&|\|\|)(?=\s)", "boolean",
        lambda old, s, i: f"`{LOGICAL[old]}` for `{old}` in `{short(s.line_text(i))}`")


# MARK: Values


def older(source):
    for found in re.finditer(r"(?<![.\w])(max|min)(\()", source.code):
        start, end = found.start(1), found.end(2)
        if len(source.top_level(end, source.partner[end - 1], ",")) != 2 or is_excluded(source, start, source.partner[end - 1]):
            continue
        if source.code[max(0, start - 5):start] == "func " or not source.innermost(start):
            continue

        def edits(n, start=start, end=end, name=found.group(1)):
            return [Edit(start, end, f"Mutant.{name}({n}, ")]

        text = short(source.text[start:source.partner[end - 1] + 1])
        yield Candidate(source, "older", start, end, f"the other of the two in `{text}`", edits)
    for found in re.finditer(r"(?<=[\w)\]?!])\.(first|last|removeFirst\(\)|removeLast\(\)|popLast\(\))(?![\w({ ]*[{(])", source.code):
        start, end = found.span(1)
        if is_excluded(source, start, end) or not source.innermost(start):
            continue

        def edits(n, start=start, end=end, name=found.group(1).rstrip("()")):
            return [Edit(start, end, f"{name}OrOther({n})")]

        yield Candidate(
            source, "older", start, end, f"the other end in `{short(source.line_text(start))}`", edits)
    yield from infix(
        source, r" (\?\?)(?=\s)", "older",
        lambda old, s, i: f"the right side of `??` in `{short(s.line_text(i))}`")


def return_early(source):
    for block in source.blocks:
        around = block.function
        if not around or around.kind != "function" or block.kind == "switch":
            continue
        if not re.search(r"\bfunc\b", around.header):
            continue
        result = re.search(r"->\s*(.+?)\s*$", re.sub(r"\bwhere\b.*", "", around.header), re.S)
        result = result.group(1) if result else "Void"
        value = {"Void": "", "Bool": " false"}.get(result, " nil" if result.endswith("?") else None)
        if value is None or is_result(block):
            continue
        for statement in block.statements:
            text = source.code[statement.start:statement.end]
            if re.match(r"(?:return|break|continue|throw|guard|let|var|func|fatalError)\b", text):
                continue
            if is_excluded(source, statement.start, statement.end):
                continue

            def edits(n, s=statement, value=value):
                return [Edit(s.start, s.start, f"if Mutant.on({n}) {{ return{value} }}; ")]

            yield Candidate(
                source, "return-early", statement.start, statement.start + 1,
                f"`return{value}` before `{short(source.text[statement.start:statement.end])}`", edits)


# MARK: SQL


def sql_conditions(text):
    """The conditions of a statement of SQL: (start, end)."""
    for found in re.finditer(r"\b(WHERE|AND)\s+", text):
        i, depth = found.end(), 0
        while i < len(text):
            if text[i] == "(":
                depth += 1
            elif text[i] == ")":
                depth -= 1
                if depth < 0:
                    break
            elif depth == 0 and re.compile(r"\s(?:AND|OR|ORDER|LIMIT|GROUP|RETURNING|UNION|ON CONFLICT)\b|;").match(text, i):
                break
            i += 1
        yield found.end(), i


def sql(source):
    for start, end in source.literals:
        text = source.text[start:end]
        if not re.search(r"\b(?:SELECT|UPDATE|DELETE|INSERT)\b", text) or re.search(r"\b(?:CREATE|PRAGMA|ALTER)\b", text):
            continue
        if "\\" in text or "#" in text[:1] or not source.innermost(start):
            continue
        lines = text.count("\n")
        plain = re.sub(r"\s+", " ", text.strip('"')).strip()
        if '"' in plain:
            continue
        changes = []
        for low, high in sql_conditions(plain):
            condition = plain[low:high]
            if "BETWEEN" in plain[:low][-40:] or condition.startswith("("):
                continue
            changes.append(("sql-condition", plain[:low] + f"(1 OR {condition})" + plain[high:], f"SQL without `{condition}`"))
        for found in re.finditer(r"ORDER BY ([\w.]+)( DESC)?", plain):
            new = f"ORDER BY {found.group(1)}" + ("" if found.group(2) else " DESC")
            changes.append(("sql-order", plain[:found.start()] + new + plain[found.end():], f"SQL `{new}`"))
        for found in re.finditer(r"\b(max|min)\(", plain):
            other = "min(" if found.group(1) == "max" else "max("
            changes.append(("sql-order", plain[:found.start()] + other + plain[found.end():], f"SQL `{other}…)` for `{found.group()}…)`"))
        for operator, new, about in changes:
            def edits(n, start=start, end=end, new=new, plain=plain, lines=lines):
                return [Edit(start, end, f'(Mutant.on({n}) ? "{new}"' + "\n" * lines + f' : "{plain}")')]

            yield Candidate(source, operator, start, end, f"{short(about, 60)} in `{short(plain, 60)}`", edits)


ALL = [leave_out, swap, negate, unchecked, bound, boolean, older, return_early, sql]


def candidates(source):
    found = []
    for operator in ALL:
        found += operator(source)
    return found
