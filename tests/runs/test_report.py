"""The report of a run, read back from its HTML."""

import re
import shlex
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from actsearch.evaluators.cost_model import ENTRIES, CostModel
from actsearch.evaluators.result import Job, Result, Rung, Status
from actsearch.primitives import baselines, infix, parse
from actsearch.runs import plots
from actsearch.runs.front_picture import FrontPoint, front_picture
from actsearch.runs.journal import BASELINES, FINALS, SEARCH, Entry
from actsearch.runs.leaderboard import leaderboard, standings
from actsearch.runs.report import report_html
from actsearch.runs.run import Run

RUNGS = (Rung(75, own_schedule=True), Rung(200), Rung(600))
CURVE = ((20, 2.3), (40, 0.9), (60, 0.04))
FORMULAS = (
    "mul(x, sigmoid(x))",
    "max(x, mul(beta[0.25, channel], x))",
    "sub(tanh(x), abs(x))",
    "exp(sinh(x))",
    "div(1, x)",
    "sinc(x)",
    "atan(x)",
)
HOSTILE = """<script>alert("&amp; $x_{1}$ $")</script>"""
VERDICT = "1 of 2 finalists beat gelu, the best baseline; most of all #0 (p < 0.05 & so on)."
VOID = {"meta", "br"}


class Page(HTMLParser):
    """Tags, texts and cells of tables of a page whose tags are balanced."""

    def __init__(self, html):
        super().__init__()
        self.html = html
        self.tags, self.tables, self._open = set(), {}, []
        self._texts, self._table = [], ""
        self.feed(html)
        self.close()
        assert not self._open
        self.text = " ".join(" ".join(self._texts).split())

    def handle_starttag(self, tag, attributes):
        self.tags.add(tag)
        if tag in VOID:
            return
        self._open.append(tag)
        if tag == "table":
            self._table = dict(attributes).get("id", "")
            self.tables[self._table] = []
        elif tag == "tr":
            self.tables[self._table].append([])
        elif tag in ("td", "th"):
            self.tables[self._table][-1].append("")

    def handle_startendtag(self, tag, attributes):
        self.tags.add(tag)

    def handle_endtag(self, tag):
        assert self._open.pop() == tag

    def handle_data(self, data):
        self._texts.append(data)
        if {"td", "th"} & set(self._open):
            row = self.tables[self._table][-1]
            row[-1] = " ".join(f"{row[-1]} {data}".split())

    def svgs(self):
        return re.findall(r"<svg.*?</svg>", self.html, re.DOTALL)


def candidate(index, formula, status=Status.COMPLETE, scores=(0.3, 0.6, 0.9), **other):
    """A training of the search; `other` is label, known, or a field of the result."""
    label, known = other.pop("label", f"#{index}"), other.pop("known", None)
    job = Job(f"search/{index}", parse(formula).text, 5, 0.02, RUNGS)
    result = Result(job.key, status, scores, **{"curve": CURVE, "seconds": 1.5, **other})
    counts = {"proposed": 2 * index + 1, "rejected": {"duplicate": index}}
    return Entry(job, result, label, {"index": index, "decisions": {}, "known": known, **counts})


def known_activation(index, name, text, seconds=1.0):
    job = Job(f"baselines/{name}", text, 5, 0.02, RUNGS)
    scores = (0.31, 0.61, 0.85 + index / 128)
    return Entry(
        job, Result(job.key, Status.COMPLETE, scores, CURVE, "", seconds), name, {"index": index}
    )


def ordinary_candidates(seconds=1.5):
    ended = [
        candidate(i, text, scores=(0.3, 0.6, 0.97 - i / 100), seconds=seconds)
        for i, text in enumerate(FORMULAS)
    ]
    ended[5] = candidate(5, FORMULAS[5], known="tanhexp", seconds=seconds)
    return [
        *ended,
        candidate(7, "cos(x)", Status.STOPPED, (0.21,), seconds=seconds),
        candidate(8, "sin(x)", Status.STOPPED, (0.3, 0.41), seconds=seconds),
        candidate(9, "cosh(x)", Status.DIVERGED, (), reason="loss not finite at step 3"),
        candidate(10, "cube(x)", Status.DIVERGED, (), reason="loss not finite at step 3"),
    ]


def arm(label, formula, scores, candidate=False, unsound=0):
    mean = sum(scores) / len(scores) if scores else None
    squares = sum((score - mean) ** 2 for score in scores)
    return {
        "label": label,
        "formula": formula,
        "candidate": candidate,
        "learning_rate": 0.02,
        "mean": mean,
        "deviation": (squares / (len(scores) - 1)) ** 0.5 if len(scores) > 1 else None,
        "scores": scores,
        "unsound": unsound,
    }


def comparison(name, against, effect, p_holm, better=False):
    return {
        "name": name,
        "against": against,
        "effect": effect,
        "low": effect - 0.0123,
        "high": effect + 0.0234,
        "p": p_holm / 2,
        "p_holm": p_holm,
        "better": better,
    }


COMPARED = {
    "confidence": 0.95,
    "best_baseline": "gelu",
    "arms": [
        arm("#4", "div(1, x)", [0.95, 0.96, 0.97], candidate=True),
        arm("gelu", "mul(x, normal_cdf(x))", [0.94, 0.95, 0.93]),
        arm("relu", "relu(x)", [0.92, 0.91, 0.93]),
        arm("#2", "sub(tanh(x), abs(x))", [0.90], candidate=True, unsound=2),
        arm("#1", FORMULAS[1], [0.8, 0.7, 0.75], candidate=True),
        arm("tanh", "tanh(x)", [0.2, 0.1, 0.3]),
        arm("selu", "selu(x)", [], unsound=3),
    ],
    "comparisons": [
        comparison("#4", "gelu", 0.0222, 0.0321, better=True),
        comparison("#1", "gelu", -0.2, 0.0001),
        comparison("#4", "relu", 0.0404, 0.0444, better=True),
        comparison("#1", "relu", -0.18, 0.75),
    ],
    "verdict": VERDICT,
}


def make(
    path, searched=(), known=True, compared=None, ended=True, seconds=1.0, finalists=0, **settings
):
    """A closed run with these trainings; `compared` is its finals table."""
    config = {
        "seed": 3,
        "budget": 12,
        "space": {"name": "unary-binary"},
        "strategy": {"name": "evolution"},
        "task": {"name": "mnist1d"},
        "finals": {"finalists": finalists},
        "versions": {"actsearch": "0.1.0", "torch": "2.9.0"},
        **settings,
    }
    with Run.create(path, config) as run:
        for one in searched:
            run.journal.append(SEARCH, one)
        for index, activation in enumerate(baselines() if known else ()):
            entry = known_activation(index, activation.name, activation.expr.text, seconds)
            run.journal.append(BASELINES, entry)
        for row in compared["arms"] if compared else ():
            for number, score in enumerate(row["scores"]):
                key = f"final/{row['label']}/0.02/{number}"
                job = Job(key, row["formula"], number, 0.02, RUNGS[-1:], split="final")
                result = Result(key, Status.COMPLETE, (score,), CURVE, "", seconds)
                run.journal.append(FINALS, Entry(job, result, row["label"]))
        if ended:
            rejected = {"not finite": 18, "a & b": 1}
            counts = {"proposed": 30, "rejected": rejected, "trained": len(searched)}
            run.journal.set_attribute("search", {**counts, "exhausted": False})
        if compared:
            run.journal.set_attribute("finals", compared)
    return path


def page_of(path):
    return Page(report_html(Run.open(path)))


def make_ordinary(path, seconds=1.0):
    return make(path, ordinary_candidates(seconds), compared=COMPARED, seconds=seconds, finalists=3)


@pytest.fixture(scope="module")
def ordinary(tmp_path_factory):
    return make_ordinary(tmp_path_factory.mktemp("report") / "digits-1")


@pytest.fixture(scope="module")
def page(ordinary):
    return page_of(ordinary)


def test_verdict_stands_before_all_else_but_the_title(page):
    assert page.text.index(VERDICT) < page.text.index("Task")
    assert page.text.index("Task") < page.text.index("Finals")


def test_header_names_what_was_run(page):
    for fact in ("mnist1d", "unary-binary", "evolution", "12, 11 trained", "torch 2.9.0"):
        assert fact in page.text


def test_leaderboard_shows_the_numbers_of_the_leaderboard(page, ordinary):
    rows = standings(leaderboard(Run.open(ordinary).journal, 20))
    shown = page.tables["leaderboard"][1:]
    assert len(shown) == len(rows) == 9 + len(baselines())
    for row, (rank, score, name, formula) in zip(rows, shown, strict=True):
        assert rank == ("" if row["baseline"] else str(row["rank"]))
        assert score == f"{row['score']:.4f}"
        assert name.split()[0] == row["label"]
        assert formula == row["formula"]
        assert f'title="{row["canonical"]}"' in page.html
    assert ["9", "0.2100", "#7 stopped at rung 1", "cos(x)"] in shown
    assert any(name == "#5 = tanhexp" for _, _, name, _ in shown)


def test_finals_table_shows_every_arm_and_comparison(page):
    shown = page.tables["finals-table"]
    assert shown[0][4:] == ["against gelu best baseline", "against relu"]
    for row, held in zip(shown[1:], COMPARED["arms"], strict=True):
        mean, deviation = (
            "–" if held[key] is None else f"{held[key]:.4f}" for key in ("mean", "deviation")
        )
        assert row[:3] == [mean, deviation, "0.02"]
        assert row[3].startswith(held["label"])
        assert infix(parse(held["formula"])) in row[3]
    first = shown[1]
    assert first[4] == "+0.0222 [+0.0099, +0.0456] p 0.032, better"
    assert shown[5][4] == "-0.2000 [-0.2123, -0.1766] p < 0.001, not better"


def test_arm_that_failed_at_a_seed_is_listed_and_not_compared(page):
    rows = {row[3].split()[0]: row for row in page.tables["finals-table"][1:]}
    assert "2 of 3 seeds diverged or failed: not compared" in rows["#2"][3]
    assert "3 of 3 seeds diverged or failed: not compared" in rows["selu"][3]
    assert rows["#2"][4:] == rows["selu"][4:] == ["", ""]


def test_shapes_show_finalists_first_and_initial_parameters(page):
    titles = re.findall(r"<h3>(#\d+) <code", page.html)
    assert titles == ["#4", "#1", "#0", "#2", "#3", "#6"]
    assert "drawn at beta = 0.25" in page.text


def test_front_table_shows_the_front_of_the_leaderboard(page, ordinary):
    front = leaderboard(Run.open(ordinary).journal)["front"]
    shown = page.tables["front-table"][1:]
    assert [row[0] for row in shown] == [f"{row['score']:.4f}" for row in front]
    assert [row[1] for row in shown] == [str(row["complexity"]) for row in front]
    # 4, 3 and 2 nodes; #1 and #2 have more than #0, and tanh the highest score with two.
    assert [row[2] for row in shown] == ["#0", "#3", "tanh baseline"]


def test_front_is_drawn_with_its_members_and_the_known_activations(page):
    (picture,) = [svg for svg in page.svgs() if "score of a complete training" in svg]
    words = {node.text for node in ElementTree.fromstring(picture).iter() if node.text}
    assert {"#0", "#3", "nodes", *(activation.name for activation in baselines())} <= words
    # What is not on it has no name there.
    assert not {"#1", "#5", "#7"} & words


def test_run_with_a_table_of_costs_shows_them_in_the_front(tmp_path):
    table = {**dict.fromkeys(ENTRIES, 0.25), "tanh": 7.0}
    search = {"objectives": ["score", "cost"]}
    page = page_of(make(tmp_path / "run", ordinary_candidates(), costs=table, search=search))
    pictures = [svg for svg in page.svgs() if "score of a complete training" in svg]
    assert ["modelled ns per element" in svg for svg in pictures] == [False, True]
    model = CostModel(table)
    for row in page.tables["front-table"][1:]:
        label, formula = row[3].split()[0], row[4]
        known = {activation.name: activation.expr for activation in baselines()}
        expr = known[label] if label in known else parse(FORMULAS[int(label[1:])])
        assert (row[2], formula) == (f"{model.cost(expr):.2f}", infix(expr))


def test_poor_member_of_the_front_does_not_flatten_the_others():
    point = FrontPoint
    known = [point(f"known {i}", 4.0, 0.9 + i / 1000, True, False) for i in range(9)]
    for poor in (0.1, 0.899):
        members = [point("poor", 1.0, poor, False, True), point("best", 3.0, 0.95, False, True)]
        picture = front_picture([*members, *known], "nodes", logarithmic=False)
        assert ("on the front, below" in picture) == (poor == 0.1)
        assert ">poor<" in picture


def test_funnel_counts_what_became_of_the_proposals(page):
    (funnel,) = [svg for svg in page.svgs() if "proposed" in svg]
    words = [node.text for node in ElementTree.fromstring(funnel).iter() if node.text]
    for words_of in (
        ("rejected: not finite", "18"),
        ("rejected: a & b", "1"),
        ("stopped at rung 1 (75 steps)", "1"),
        ("stopped at rung 2 (200 steps)", "1"),
        ("diverged", "2"),
        ("complete", "7"),
        ("finalists", "3"),
    ):
        assert set(words_of) <= set(words)


def test_reasons_of_failed_trainings_are_counted(page):
    assert page.tables["troubles"][1:] == [["2", "search", "diverged", "loss not finite at step 3"]]


def test_page_refers_to_nothing_outside(page):
    html = re.sub(r' xmlns(:xlink)?="http://www\.w3\.org/[^"]*"', "", page.html)
    assert not re.search(r"https?:|src=|@import|<link|<iframe|<image|data:", html)
    assert all(target == "#" for target in re.findall(r'href="(.)', html))
    assert all(target == "#" for target in re.findall(r"url\((.)", html))
    assert "script" not in page.tags


def test_pictures_are_well_formed(page):
    svgs = page.svgs()
    assert len(svgs) == 2 + 1 + 6 + 2 + 1
    for svg in svgs:
        ElementTree.fromstring(svg)


def test_equal_runs_differ_in_the_section_on_time_alone(page, tmp_path):
    again = page_of(make_ordinary(tmp_path / "digits-1", seconds=7.25)).html
    time = re.compile(r'<section id="time">.*?</section>', re.DOTALL)
    assert time.sub("", again) == time.sub("", page.html)
    assert again != page.html


def test_run_without_finals_claims_nothing(tmp_path):
    page = page_of(make(tmp_path / "run", ordinary_candidates()))
    assert "No claim: this run held no finals." in page.text
    assert "finalists = 0" in page.text
    assert "search resume" not in page.text
    assert "of the one seed of the search" in page.text


def test_unfinished_run_says_how_to_go_on(tmp_path):
    path = make(tmp_path / "my run", ordinary_candidates()[:2], ended=False, finalists=3)
    page = page_of(path)
    assert "No claim yet: the run is not finished." in page.text
    assert "The run stopped before its end. 2 of 12 candidates are trained" in page.text
    assert f"search resume {shlex.quote(str(path))}" in page.text
    with Run.open(path, writable=True) as run:
        assert "A process has this run open" in report_html(run)


@pytest.mark.parametrize(
    ("searched", "says"),
    [
        ([], "No candidate ranks: none was trained."),
        (
            [candidate(0, "exp(x)", Status.FAILED, (), reason="out of memory", curve=())],
            "No candidate ranks: every training was turned down, diverged or failed.",
        ),
        ([candidate(0, "exp(x)", Status.STOPPED, (0.2,))], "1 of 1 ranked candidates"),
        ([candidate(0, "exp(x)")], "1 of 1 ranked candidates"),
    ],
    ids=["none", "all-failed", "one-stopped", "one"],
)
def test_run_of_few_candidates(tmp_path, searched, says):
    assert says in page_of(make(tmp_path / "run", searched)).text


def test_run_that_holds_nothing_yet(tmp_path):
    page = page_of(make(tmp_path / "run", known=False, ended=False))
    assert "none was trained" in page.text


def test_finals_without_a_sound_arm(tmp_path):
    verdict = "No claim: no baseline trained at every seed."
    compared = {
        "confidence": 0.9,
        "best_baseline": None,
        "arms": [
            arm("#0", FORMULAS[0], [], candidate=True, unsound=3),
            arm("relu", "relu(x)", [], unsound=3),
        ],
        "comparisons": [],
        "verdict": verdict,
    }
    page = page_of(make(tmp_path / "run", ordinary_candidates(), compared=compared, finalists=1))
    assert verdict in page.text
    assert "First of the finalists" not in page.text


def test_hostile_text_is_shown_as_text(tmp_path):
    searched = [
        candidate(0, "x", label=HOSTILE, known=HOSTILE),
        candidate(1, "exp(x)", Status.FAILED, (), reason=HOSTILE),
    ]
    compared = {
        **COMPARED,
        "arms": [arm(HOSTILE, "relu(x)", [0.5, 0.6], candidate=True), *COMPARED["arms"]],
        "comparisons": [comparison(HOSTILE, HOSTILE, 0.1, 0.01)],
        "verdict": HOSTILE,
    }
    page = page_of(
        make(
            tmp_path / "<b>run",
            searched,
            compared=compared,
            finalists=1,
            task={"name": HOSTILE},
            versions={HOSTILE: HOSTILE},
        )
    )
    assert not {"script", "b>run"} & page.tags
    assert page.text.count(HOSTILE) >= 8
    assert page.tables["troubles"][1][3] == HOSTILE
    for svg in page.svgs():
        ElementTree.fromstring(svg)


def test_long_formula_is_shown_in_full_and_outside_pictures(tmp_path):
    formula = "x"
    for _ in range(30):
        formula = f"add(mul(0.5, {formula}), tanh(x))"
    page = page_of(make(tmp_path / "run", [candidate(0, formula)]))
    assert infix(parse(formula)) in page.text
    assert not any("tanh(x)" in svg for svg in page.svgs())


def test_losses_below_zero_get_a_linear_axis(tmp_path):
    searched = [candidate(0, "exp(x)", curve=((1, 2.0), (2, -1.0)))]
    assert "training loss" in page_of(make(tmp_path / "run", searched)).text


def test_far_outlier_does_not_flatten_the_scores():
    points = [(0, -1e9, True), *((i, -1.0 - i / 10, True) for i in range(1, 9))]
    assert "complete, far below" in plots.progress_picture(points, [], {"relu": -1.0})
    assert "far below" not in plots.progress_picture(points[1:], [], {"relu": -1.0})


def test_reading_a_journal_loads_no_plotting():
    code = (
        "import sys, actsearch.runs.journal, actsearch.runs.leaderboard, actsearch.runs.status\n"
        "print([name for name in ('matplotlib', 'actsearch.runs.report') if name in sys.modules])"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout.strip() == "[]"
