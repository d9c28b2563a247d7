"""Templates: what is open is known to be open, told once, and the rest is checked."""

from __future__ import annotations

import pytest

from ensemblegen.pbtxt.read import parse

TEMPLATE = """\
name: "generate"
backend: "${backend}"
max_batch_size: ${triton_max_batch_size}
model_transaction_policy { decoupled: ${decoupled_mode} }
dynamic_batching {
  preferred_batch_size: [ ${triton_max_batch_size} ]
  max_queue_delay_microseconds: {{ delay | default(100) }}
}
input [
  { name: "ids" data_type: TYPE_INT32 dims: [ -1, ${width} ] },
  { name: "${second}" data_type: TYPE_{{ dtype }} dims: [ 1 ] }
]
${features}
output { name: "tokens" data_type: @DTYPE@ dims: %DIMS% }
instance_group [ { count: <count> kind: $KIND } ]
parameters { key: "folder" value { string_value: "$$TRITON_MODEL_DIRECTORY/engine" } }
parameters { key: "mode" value { string_value: "$TRITON_MODE" } }
"""


def test_a_template_has_one_note() -> None:
    config = parse(TEMPLATE, "c.pbtxt")
    assert [p.code for p in config.problems] == ["E129"]
    assert "${backend}, ${triton_max_batch_size}" in config.problems[0].message
    assert config.broken


@pytest.mark.parametrize(
    "way",
    [
        ("backend",),
        ("max_batch_size",),
        ("model_transaction_policy", "decoupled"),
        ("dynamic_batching", "preferred_batch_size"),
        ("dynamic_batching", "max_queue_delay_microseconds"),
        ("input", 0, "dims"),
        ("input", 0, "dims", 0),
        ("input", 1, "name"),
        ("input", 1, "data_type"),
        ("output", 0, "data_type"),
        ("output", 0, "dims"),
        ("instance_group", 0, "count"),
        ("instance_group", 0, "kind"),
    ],
)
def test_open(way: tuple[str | int, ...]) -> None:
    assert not parse(TEMPLATE, "c.pbtxt").knows(*way)


@pytest.mark.parametrize(
    "way",
    [
        ("name",),
        ("input", 0, "name"),
        ("input", 0, "data_type"),
        ("input", 1, "dims"),
        ("output", 0, "name"),
        ("parameters", "folder", "string_value"),
        ("parameters", "mode", "string_value"),
    ],
)
def test_known(way: tuple[str | int, ...]) -> None:
    assert parse(TEMPLATE, "c.pbtxt").knows(*way)


def test_the_rest_is_checked() -> None:
    config = parse('name: "${x}"\ninput { data_type: FLOAT dims: [ ${n} ] }', "c.pbtxt")
    assert sorted(p.code for p in config.problems) == ["E124", "E129"]
    config = parse("nme: ${x}\n", "c.pbtxt")
    assert sorted(p.code for p in config.problems) == ["E122", "E129"]


@pytest.mark.parametrize(
    "text",
    [
        "${config}",
        "{{ config }}\n",
        '{% include "base.pbtxt" %}\n',
        "<config>",
        "@CONFIG@\n@MORE@\n",
        "{% for each in models %}\n{{ each }}\n{% endfor %}\n",
        "{% if a %}\nmax_batch_size: 1\n{% else %}\nmax_batch_size: 2\n{% endif %}\n",
        "input [\n{% for i in inputs %}\n  { name: '{{ i }}' },\n{% endfor %}\n]\n",
        "${name}: 4\n${block} {\n  a: 1\n}\n",
        "parameters: ${parameters}\ninput [ ${inputs} ]\ndynamic_batching ${batching}\n",
        "{{- if .a }}\nmax_batch_size: 1\n{{- else }}\nmax_batch_size: {{ .b }}\n{{- end }}\n",
        "input [\n{% for i in l %}\n  { name: '{{ i }}' }{{ ',' if more }}\n{% endfor %} ]",
        "max_batch_size: ${{ env.BATCH }}\nbackend: ${BACKEND:-python}\n",
        "max_batch_size: __MAX_BATCH__\n",
        "max_batch_size: {max_batch_size}\nname: '{name}'\n",
        "parameters { key: ${key} value { string_value: '1' } }\n",
        "max_batch_size: MAX_BATCH\ninput { dims: [ NUM_MEL, 3 ] }\n",
        "max_batch_size: %%BATCH%%\ninput { data_type: TYPE_%%T%% }\n",
        "input [ ... ]\noutput [ ... ]\n",
        "name: '__NAME__'\n",
    ],
)
def test_templates_are_no_errors(text: str) -> None:
    config = parse(text, "c.pbtxt")
    assert [p.code for p in config.problems] == ["E129"]


@pytest.mark.parametrize(
    "text",
    [
        'parameters { key: "a" value { string_value: "$$TRITON_MODEL_DIRECTORY/a" } }',
        'parameters { key: "a" value { string_value: "<|endoftext|>" } }',
        'parameters { key: "a" value { string_value: "<unk>" } }',
        'parameters { key: "a" value { string_value: "100%" } }',
        'parameters { key: "a" value { string_value: "a@b.org" } }',
        'parameters { key: "a" value { string_value: "^x$" } }',
        "parameters { key: 'a' value { string_value: '{\"a\": {\"b\": 1}}' } }",
    ],
)
def test_no_placeholders(text: str) -> None:
    config = parse(text, "c.pbtxt")
    assert config.problems == ()
    assert config.unknown == frozenset()


HASHES = """\
parameters { key: "words" value { string_value: "#words" } }
max_batch_size: #batch
input [
  {
    data_type: TYPE_#DTYPE
    dims: [-1, #size] # [-1, size]
  },
  {
    data_type: TYPE_FP32
    dims: [ #layers, #heads, 4 ]
  }
]
"""


def test_hashes_that_a_script_fills_in() -> None:
    config = parse(HASHES, "c.pbtxt")
    assert [p.code for p in config.problems] == ["E129"]
    assert "#words, #batch, TYPE_#DTYPE, #size, #layers and 1 more" in config.problems[0].message
    assert not config.knows("input", 0, "dims", 1)
    assert not config.knows("input", 0, "data_type")
    assert list(config.message.input[1].dims) == [4]
    assert config.knows("input", 1, "data_type")
    assert config.text == HASHES


def test_the_rest_beside_hashes_is_checked() -> None:
    config = parse("max_batch: 1\ninput { dims: [ 1, #size ] data_type: FLOAT }", "c.pbtxt")
    assert [p.code for p in config.problems] == ["E122", "E129", "E124"]


@pytest.mark.parametrize(
    "text",
    [
        "max_batch_size: 64#MAX_BATCH\ninput { dims: -1#LENGTH\n}",
        "input { dims: [ 1, #batch\n 3 #channels\n] }",
        "input { data_type: TYPE_FP32 #TYPE_FP16\n}",
        "input { dims: [ 1, #a, b]\n 2 ] }",
        "max_batch_size: #four\n4",
    ],
)
def test_comments_are_no_placeholders(text: str) -> None:
    assert parse(text, "c.pbtxt").problems == ()
