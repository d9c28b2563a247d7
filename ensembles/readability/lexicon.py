"""The words of the generated texts, in three tiers from everyday to learned.

Written for this project. A slot (noun, verb, ...) maps to its tiers: `SLOT[0]` easy to `SLOT[2]`
hard. Verbs take an object and stand in the past tense; `ACTS` stand without an object.
"""

from __future__ import annotations

Tiers = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]


def _tiers(easy: str, middle: str, hard: str) -> Tiers:
    return tuple(easy.split()), tuple(middle.split()), tuple(hard.split())


NOUNS: dict[str, Tiers] = {
    "animals": _tiers(
        "cat dog bird fish cow hen duck pig fox bear mouse frog horse nest egg",
        "insect feather shelter hunter whisker burrow creature swallow badger otter hive herd",
        "predator organism metabolism camouflage vertebrate adaptation species habitat instinct",
    ),
    "weather": _tiers(
        "sun rain wind snow sky cloud day night storm ice mud hat coat puddle",
        "thunder forecast drizzle breeze lightning temperature rainbow drought frost season",
        "precipitation atmosphere humidity condensation circulation pressure evaporation climate",
    ),
    "food": _tiers(
        "bread milk cake apple soup egg jam nut pan cup table cook pie bowl",
        "recipe kitchen flavour butter oven vegetable supper market cheese spice harvest",
        "fermentation nutrition carbohydrate preservation digestion ingredient cuisine enzyme",
    ),
    "machines": _tiers(
        "car bus bike wheel train road box toy top key lamp bell truck door",
        "engine factory tool mechanic lever battery workshop bridge motor signal cable",
        "apparatus mechanism turbine automation efficiency infrastructure component combustion",
    ),
    "sea": _tiers(
        "sea boat sand shell wave ship fish shore crab rock net sail beach sun",
        "harbour sailor island anchor lighthouse current captain voyage tide whale cargo",
        "navigation estuary sediment archipelago salinity biodiversity expedition oceanography",
    ),
    "plants": _tiers(
        "tree leaf seed grass bud root flower rose bush park hill pond log bee",
        "garden branch blossom meadow gardener soil orchard forest petal weed stem",
        "photosynthesis germination chlorophyll ecosystem pollination cultivation nutrient",
    ),
    "past": _tiers(
        "king queen home town house hut horse gold bag song fire gate man boy girl",
        "village soldier castle journey crown merchant letter battle stranger temple road",
        "civilisation legislation aristocracy chronicle sovereignty dynasty institution treaty",
    ),
    "music": _tiers(
        "song drum bell band game ball dance toy noise voice school friend book",
        "piano concert audience melody singer theatre rhythm instrument stage teacher violin",
        "composition harmony counterpoint repertoire improvisation notation virtuosity resonance",
    ),
}

# Nouns that name no thing: what a learned text speaks about, whatever its subject.
ABSTRACT: Tiers = _tiers(
    "day time way thing place name part end game job",
    "reason story idea chance habit problem change answer purpose pattern",
    "hypothesis consequence assumption interpretation phenomenon principle tendency proportion "
    "methodology distinction implication significance correlation constraint perspective",
)

ADJECTIVES: Tiers = _tiers(
    "big small red old new good sad hot cold wet soft fast little happy long blue",
    "gentle careful strange narrow golden ancient quiet hungry distant brave useful bitter sudden",
    "substantial inevitable considerable contemporary fundamental ambiguous systematic subsequent "
    "conventional theoretical intrinsic comprehensive disproportionate empirical",
)

VERBS: Tiers = _tiers(
    "saw had got found ate liked took made held kept put hid gave met",
    "noticed carried followed gathered repaired protected discovered admired watched collected",
    "constituted presupposed facilitated undermined necessitated demonstrated characterised "
    "transformed illustrated accommodated exemplified regulated",
)

ACTS: Tiers = _tiers(
    "ran sat slept played sang fell came went hid swam jumped cried",
    "waited wandered trembled listened vanished hurried returned shivered gathered rested",
    "deteriorated accumulated proliferated fluctuated originated diminished culminated persisted",
)

ADVERBS: Tiers = _tiers(
    "now then soon up down again fast home there too",
    "slowly quietly suddenly carefully nearly often together gently later",
    "consequently simultaneously predominantly inherently arguably ultimately systematically "
    "comparatively ostensibly",
)

PREPOSITIONS: Tiers = _tiers(
    "in on by to at up with under",
    "behind beside across beneath towards through among",
    "throughout amid concerning within beyond regarding via",
)

# How two clauses are joined. Easy texts start a new sentence instead.
JOINTS: Tiers = (
    ("and", "and then", "but", "so"),
    ("because", "while", "until", "when", "although", ", and yet"),
    ("; moreover,", ", whereas", "insofar as", ", notwithstanding that", "; consequently,"),
)

OPENERS: Tiers = (
    ("One day", "Then", "Soon", "Now", "At last"),
    ("After a while,", "In the morning,", "Before long,", "Later that year,", "At first,"),
    (
        "In contrast,",
        "By extension,",
        "Under these circumstances,",
        "From this perspective,",
        "To the extent that evidence permits,",
    ),
)

NAMES = ("Tom", "Ann", "Sam", "Mia", "Ben", "Lily", "Max", "Rosa", "Jack", "Nina")
PRONOUNS = ("he", "she", "they", "we", "it", "I")
SPOKEN = (
    "Look at the {noun}!",
    "Can I see the {noun}?",
    "I like the {adjective} {noun}.",
    "Where is my {noun}?",
    "Come and see!",
    "Oh no, the {noun} is {adjective}!",
    "Yes, it is the {noun}.",
    "Is it {adjective}?",
)
SAYING = ("said", "asked", "cried", "called")
ASIDES = (
    ", as is frequently observed,",
    " (at least in principle)",
    ", which is by no means self-evident,",
    ", in the narrower sense of the term,",
    " - itself a matter of dispute -",
)
