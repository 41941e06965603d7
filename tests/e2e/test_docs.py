"""What the pages say of each other, of the program and of the sources is so."""

import json
import os
import re
import subprocess

import pytest

from programs import KUJATA

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", ".."))
PAGES = ["README.md", *sorted("docs/" + p for p in os.listdir(f"{ROOT}/docs") if p.endswith(".md"))]
COMMANDS = ("serve", "spec", "sub", "bench")


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def prose(page):
    """A page without its blocks of code."""
    text = re.sub(r"^```.*?^```$", "", read(page), flags=re.S | re.M)
    return re.sub(r"^    .*$", "", text, flags=re.M)


def headings(page):
    return re.findall(r"^#+ (.*)$", prose(page), re.M)


def anchors(page):
    """As GitHub makes them of headings."""
    return [re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings(page)]


def sources(*folders):
    """Every C source and header, by its path."""
    for folder in folders:
        for place, _, names in os.walk(os.path.join(ROOT, folder)):
            for name in names:
                if name.endswith((".c", ".h", ".cc")):
                    path = os.path.relpath(os.path.join(place, name), ROOT)
                    yield path, read(path)


def table(page, heading, skip=2):
    """The rows of the first table below a line, without the first ones."""
    lines = read(page).split(f"{heading}\n", 1)[1].splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start + skip :]:
        if not line.startswith("|"):
            break
        rows.append(line)
    return rows


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)]*)\)", prose(page)):
        if target.startswith(("http://", "https://")):
            continue
        path, _, anchor = target.partition("#")
        path = os.path.normpath(os.path.join(os.path.dirname(page), path)) if path else page
        assert os.path.exists(os.path.join(ROOT, path)), target
        assert not anchor or anchor in anchors(path), target


@pytest.mark.parametrize("page", PAGES)
def test_pages_and_files_that_are_named_exist(page):
    text = prose(page)
    for name in re.findall(r"(?<![\w/.-])(?:docs/)?([a-z_]+\.md)\b", text):
        assert os.path.exists(os.path.join(ROOT, "docs", name)), name
    folders = "app|bench|cmake|core|docs|examples|handlers|include|pubsub|scripts|tests"
    for path in re.findall(rf"`((?:{folders})/[\w./-]*)`", text.replace("NAME", "local")):
        assert os.path.exists(os.path.join(ROOT, path)), path
    for name in re.findall(r"`(kujata/\w+\.h)`", text):
        assert os.path.exists(os.path.join(ROOT, "include", name)), name
    for name in re.findall(r"`(test_\w+\.py)`", text):
        assert os.path.exists(os.path.join(ROOT, "tests/e2e", name)), name


@pytest.mark.parametrize("page", PAGES)
def test_sections_that_are_named_exist(page):
    for name, heading in re.findall(r"\b([a-z]+\.md)`?,\s\"([A-Z][^\"]*)\"", prose(page)):
        assert heading in headings(f"docs/{name}"), (name, heading)


@pytest.mark.parametrize("page", PAGES)
def test_what_is_named_of_the_library_is_in_it(page):
    library = "\n".join(text for _, text in sources("include", "core", "pubsub", "handlers"))
    known = set(re.findall(r"\bkj_\w+|\bKJ_\w+", library))
    # A name that ends in _ stands for all that begin with it.
    named = set(re.findall(r"\b(?:kj|KJ)_\w+", read(page)))
    strange = [n for n in named if not any(k == n or (n[-1] == "_" and k.startswith(n)) for k in known)]
    assert sorted(strange) == []


def test_the_readme_names_every_page():
    assert [page for page in PAGES[1:] if page not in read("README.md")] == []


def flags_of(command):
    shown = subprocess.run([KUJATA, command, "--help"], capture_output=True, text=True, check=True)
    return set(re.findall(r"^\s+(--[a-z-]+)", shown.stdout, re.M)) - {"--help"}


@pytest.mark.parametrize("command", COMMANDS)
def test_running_md_has_the_flags_of_the_program_and_no_others(command):
    section = re.split(r"^## ", read("docs/running.md"), flags=re.M)
    section = next(s for s in section if s.startswith(f"`kujata {command}"))
    cells = [row.split("|")[1] for row in section.splitlines() if row.startswith("|")]
    assert set(re.findall(r"`(--[a-z-]+)`", " ".join(cells))) == flags_of(command)


def test_running_md_has_the_figures_of_bench():
    """Those of a run without a server; those of a server's process are there as null."""
    command = [KUJATA, "bench", "ws://127.0.0.1:1/", "--sessions", "1", "--json", "--server-pid", str(os.getpid())]
    report = json.loads(subprocess.run(command, capture_output=True, text=True).stdout)
    figures = {f"{part}.{name}" for part in ("sessions", "deliveries", "server") for name in report[part]}
    figures |= set(report) - {"sessions", "deliveries", "server"}
    shown = set()
    for row in table("docs/running.md", "| figure | what |", skip=1):
        names = re.findall("`([^`]*)`", row.split("|")[1])
        part = names[0].rpartition(".")[0]
        shown |= {name if "." in name or not part else f"{part}.{name}" for name in names}
    assert shown == figures


def rows_of_flags(command):
    """The cells of each row of running.md that is about one flag of a command, by their headings."""
    section = re.split(r"^## ", read("docs/running.md"), flags=re.M)
    section = next(s for s in section if s.startswith(f"`kujata {command}"))
    headings = []
    for line in section.splitlines():
        cells = [cell.strip() for cell in line.split("|")[1:-1]]
        if cells and cells[0] == "flag":
            headings = cells
        elif cells and re.fullmatch(r"`--[a-z-]+`", cells[0]):
            yield dict(zip(headings, cells))


@pytest.mark.parametrize("command", COMMANDS)
def test_running_md_has_the_numbers_that_the_help_tells(command):
    shown = subprocess.run([KUJATA, command, "--help"], capture_output=True, text=True, check=True)
    told = dict(re.findall(r"^\s+(--[a-z-]+) .*default:? (\d+)\b", shown.stdout, re.M))
    rows = {row["flag"].strip("`"): row.get("default", "") for row in rows_of_flags(command)}
    numbers = {flag: re.findall(r"\d+", text.replace(",", "")) for flag, text in rows.items()}
    assert {f: n for f, n in told.items() if f in rows and n not in numbers[f]} == {}


def needs_of(command):
    """What the help says of flags that need others: (with or without, those, the flags)."""
    shown = subprocess.run([KUJATA, command, "--help"], capture_output=True, text=True, check=True)
    for word, others, flags in re.findall(r"^  (with|without) (.*): (--.*)$", shown.stdout, re.M):
        yield word, re.split(", | or ", others), flags.split()


@pytest.mark.parametrize("command", COMMANDS)
def test_what_flags_need_are_flags(command):
    for _, others, _ in needs_of(command):
        assert {other.split()[0] for other in others} <= flags_of(command) | {"URL"}


@pytest.mark.parametrize("word, heading", [("with", "only with"), ("without", "not with")])
def test_running_md_has_the_flags_that_need_others(word, heading):
    rows = table("docs/running.md", f"| {heading} | there are |", skip=1)
    shown = [[re.findall("`([^`]*)`", cell) for cell in row.split("|")[1:3]] for row in rows]
    assert shown == [[others, flags] for kind, others, flags in needs_of("serve") if kind == word]


def test_running_md_has_the_profiles_of_the_program_and_no_others():
    shown = subprocess.run([KUJATA, "serve", "--help"], capture_output=True, text=True, check=True)
    rows = re.search(r"--profile NAME.*\n((?: {6}\S.*\n)+)", shown.stdout)[1]
    cells = re.search(r"^\| profile \|.*\n.*\n((?:\|.*\n)+)", read("docs/running.md"), re.M)[1]
    assert re.findall(r"^\| `(\S+)` \|", cells, re.M) == re.findall(r"^ {6}(\S+)", rows, re.M)


@pytest.mark.parametrize("page", PAGES)
def test_flags_that_are_named_are_flags(page):
    known = set().union(*(flags_of(command) for command in COMMANDS)) | {"--help", "--version", "--flag"}
    # A name that ends in - stands for all that begin with it.
    named = set(re.findall(r"`(--[a-z-]+)", prose(page)))
    strange = [n for n in named if not any(k == n or (n[-1] == "-" and k.startswith(n)) for k in known)]
    assert sorted(strange) == []


def test_every_lock_is_in_the_lock_order():
    rows = "\n".join(table("docs/architecture.md", "## Lock order"))
    holders = [
        path
        for path, text in sources("core", "pubsub", "handlers")
        if re.search(r"^\s*(?:static )?pthread_(?:mutex|rwlock)_t \w+", text, re.M)
    ]
    assert len(holders) > 20
    assert [path for path in holders if f"`{path}`" not in rows] == []


def test_threads_are_the_same_in_the_readme_and_the_architecture():
    assert table("README.md", "## Threads") == table("docs/architecture.md", "## Threads")


def test_programs_shown_are_files_that_are_tested():
    blocks = re.findall(r"^```(?:c|json)\n(.*?)^```$", read("docs/migration.md"), re.S | re.M)
    for name in ("tickets.c", "tickets.json", "rules.json"):
        assert read(f"examples/migration/{name}") in blocks
