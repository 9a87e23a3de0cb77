"""Every character of a model's alphabet, written in short texts, as contact sheets and as what the recogniser reads.

    python tools/characters.py --json docs/legibility/characters.json --sheets docs/images

Each character stands in three texts, each written with four seeds as `graves write` does: a line that visibly went
wrong is written again. It counts as read where the recogniser finds it as often as the text has it, case aside. The
recogniser knows no accents: those sheets are for eyes.
"""

import argparse
import json
import string
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import torch
from legibility import POINTS_PER_CHAR, made_by, read_all, recogniser
from PIL import Image, ImageDraw, ImageFont

from graves_nb.ink import Ink
from graves_nb.pretrained import load_model
from graves_nb.sampling import write_samples

SEEDS = range(4)
RETRIES = 2  # of a line that visibly went wrong, as `write` and `graves write` have them
CELL = (250, 66)  # width and height in pixels of a picture on a sheet
COLOURS = 12  # of a sheet, so that a page of them is light
GROUPS = dict(
    digits=string.digits, capitals=string.ascii_uppercase, letters=string.ascii_lowercase, symbols=string.punctuation
)
WORDS = """
able baker cabin decade elbow fifty gauge hatch idiom jujube kayak level maxim ninth onion paper quite river
sassy total unused vivid widow xylem yearly zigzag about cubic dodge eerie offer juggle shrug inject kiosk
lilac mummy queen equal squid vivo wow wax taxi sixty jazz fizz pizza hajj kick rock
""".split()
NAMES = """
Anna Bob Clara David Emma Frank Gina Hugo Ivan Jack Kate Lisa Mark Nina Otto Paul Quinn Rosa Susan Tom Uwe
Vera Will Xenia Yves Zoe ABC DEFG HIJK LMNO PQR STUV WXYZ
""".split()
SYMBOLS = {
    "!": ("Stop! now", "Oh no!", "Hi! Ho!"),
    '"': ('the "old" one', '"yes" or "no"', 'say "when"'),
    "#": ("#1 of 20", "call #27", "# note"),
    "$": ("$25 each", "a $9 book", "$1.50"),
    "%": ("50% off", "a 7% rise", "100% wool"),
    "&": ("Tom & Anna", "R&D", "salt & oil"),
    "'": ("don't go", "it's hers", "Tom's hat"),
    "(": ("(see below)", "f(x) = y", "page 3 (top)"),
    ")": ("(see above)", "g(t) = u", "line 9 (end)"),
    "*": ("2 * 3 = 6", "*new* here", "a * b"),
    "+": ("1 + 2 = 3", "x + y", "+49 30 12"),
    ",": ("one, two", "1,250 miles", "well, no"),
    "-": ("well-known", "1990-1995", "a - b"),
    ".": ("The end.", "3.14159", "www.site.org"),
    "/": ("and/or", "3/4 cup", "12/5/2024"),
    ":": ("at 12:45", "Note: wet", "ratio 3:2"),
    ";": ("wet; cold", "x = 1;", "stop; go"),
    "<": ("a < b", "3 < 7", "<title>"),
    "=": ("x = 12", "a + b = c", "n = 0"),
    ">": ("b > a", "9 > 4", "<body>"),
    "?": ("Who? me", "Is it?", "Why not?"),
    "@": ("anna@mail.org", "@home", "6 @ $2"),
    "[": ("a[3] = 5", "[note 1]", "list [x]"),
    "\\": ("C:\\data\\new", "a \\ b", "\\begin"),
    "]": ("b[7] = 0", "[note 2]", "row [y]"),
    "^": ("x^2 + 1", "2^10", "a^b"),
    "_": ("my_name", "file_2", "a_b_c"),
    "`": ("`code` here", "run `it`", "`ls`"),
    "{": ("{a: 1}", "if (x) {", "set {b}"),
    "|": ("a | b", "x|y", "one | two"),
    "}": ("{c: 2}", "else }", "set {d}"),
    "~": ("~/work", "about ~20", "a ~ b"),
    "¡": ("¡Hola!", "¡Qué bien!", "¡Sí!"),
    "¿": ("¿Quién?", "¿Por qué?", "¿Cómo?"),
}
ACCENTED = """
voilà Müller größer weiß Ärger Öl Über schön Köln für garçon café père être Noël naïve île où sûr château
hôtel français Français Ça Élise Âge Ère Êta Île Ô Où señor mañana niño Ñandú Ángel corazón Óscar Úrsula
último así Íñigo São João coração põe órgão maçã Ångström Åse på gård Øst øl brød æble Ære smørrebrød Ýmir ýta
ÿ Haÿ Ìn lì città perché però più È Ò Ù Õun Ãnn Ïle Ëlle Ûne ïambe Îlot ã ã õ Õ õun Ì ì ò Òr û ù Ùn ë ê Êtes
Àla Ç ç Æ æ Ë Ï Ü ü Û Ã
""".split()


def texts_of(c: str) -> Sequence[str]:
    "Three texts with a character."
    if c in SYMBOLS:
        return SYMBOLS[c]
    if c in string.digits:
        return f"room {c}", f"19{c}4", f"{c}7 of {c}0"
    words = [w for w in WORDS + NAMES + ACCENTED if c in w]
    return tuple((words * 3)[:3]) if words else (c, f"{c} {c}", f"a{c}o")


def spoken(c: str) -> str:
    "A letter in letters that the labels' font has."
    return unicodedata.name(c).removeprefix("LATIN ").replace(" LETTER", "").lower()


def sheet_of(rows: Sequence[tuple[str, Sequence[Ink]]]) -> Image.Image:
    "A row for each character: what it is, and its lines."
    wide, high = CELL
    side = 40 if all(c.isascii() for c, _ in rows) else 170
    page = Image.new("RGB", (side + wide * max(len(inks) for _, inks in rows), high * len(rows)), "white")
    draw, font = ImageDraw.Draw(page), ImageFont.load_default(22 if side == 40 else 14)
    for i, (c, inks) in enumerate(rows):
        draw.text((8, i * high + high // 2 - 14), c if c.isascii() else spoken(c), "#2c5a9f", font)
        for j, ink in enumerate(inks):
            picture = ink.to_image(height=high - 8, pen=3.4)
            picture.thumbnail((wide - 12, high - 8))
            page.paste(picture, (side + j * wide, i * high + 4))
    return page


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="unipen-synthesis", help="a shipped model, a model file or a run's folder")
    parser.add_argument("--bias", type=float, default=1.0)
    parser.add_argument("--json", type=Path, help="write the shares that were read to this file")
    parser.add_argument("--sheets", type=Path, help="write characters-*.png to this folder")
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)  # the same sums in the same order everywhere
    model, read = load_model(options.model), recogniser()
    characters = [c for c in model.alphabet.symbols if c != " "]
    jobs = [(c, text, seed) for c in characters for text in texts_of(c) for seed in SEEDS]
    by_seed = {seed: [text for _, text, s in jobs if s == seed] for seed in SEEDS}
    lines = {}
    for seed, texts in by_seed.items():
        how = dict(seed=1000 * seed, max_points_per_char=POINTS_PER_CHAR, retry=RETRIES)
        samples = write_samples(model, texts, bias=options.bias, **how)
        lines |= {(seed, k): sample.ink for k, sample in enumerate(samples)}
    inks = {c: [lines[seed, 3 * i + k] for k in range(3) for seed in SEEDS] for i, c in enumerate(characters)}
    readings = {c: read_all(inks[c], read, c) for c in characters if c.isascii()}
    shares = {
        c: sum(r.read.lower().count(c.lower()) >= r.text.lower().count(c.lower()) for r in found) / len(found)
        for c, found in readings.items()
    }
    groups = {group: [c for c in characters if c in cs] for group, cs in GROUPS.items()}
    groups["accents"] = [c for c in characters if not c.isascii()]
    means = {g: round(sum(shares[c] for c in cs) / len(cs), 4) for g, cs in groups.items() if cs and g != "accents"}
    print(means, {c: round(share, 2) for c, share in shares.items() if share < 0.5}, sep="\n")
    if options.sheets:
        for group, members in groups.items():
            if members:
                sheet_of([(c, inks[c][::3]) for c in members]).quantize(COLOURS).save(
                    options.sheets / f"characters-{group}.png", optimize=True
                )
    if options.json:
        about = made_by(options.model)
        about |= dict(
            bias=options.bias, lines=len(SEEDS) * 3, groups=means, read={c: round(s, 4) for c, s in shares.items()}
        )
        options.json.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    main()
