"""The words that the server had for a failure are found in its log."""

from __future__ import annotations

import pytest

from ensemblegen.engine import failure

START = (
    'E1121 02:26:36.034386 4355 server.cc:241] "CudaDriverHelper has not been initialized."\n'
    'I1121 02:26:36.036076 4355 model_lifecycle.cc:472] "loading: a:1"\n'
)
END = "error: creating server: Internal - failed to load all models\n"


def _lifecycle(model: str, reason: str) -> str:
    return (
        "E1121 02:25:49.470231 3972 model_lifecycle.cc:642] "
        f"\"failed to load '{model}' version 1: {reason}\"\n"
    )


CASES = {
    "a step": (
        _lifecycle("a", "Internal: KeyError: 'abc'\\n\\nAt:\\n  /r/a/1/model.py(7): x\\n"),
        {"a": "Internal: KeyError: 'abc'\n\nAt:\n  /r/a/1/model.py(7): x"},
    ),
    "a stand-in": (
        _lifecycle(
            "a",
            "Internal: InvalidError: no such thing\\n\\nAt:\\n"
            "  /c/ensemblegen/engine/12ab/fil/model.py(7): initialize\\n",
        ),
        {"a": "no such thing"},
    ),
    "a consequence": (
        _lifecycle("a", "Internal: bad")
        + 'E1121 02:25:49.770844 3972 model_repository_manager.cc:703] "Invalid argument: '
        "ensemble 'e' depends on 'a' which has no loaded version. Model 'a' loading failed with "
        'error: version 1 is at UNAVAILABLE state: Internal: bad;"\n',
        {"a": "Internal: bad"},
    ),
    "an ensemble": (
        'E1121 02:25:49.770844 3972 model_repository_manager.cc:703] "Invalid argument: in '
        "ensemble e, ensemble tensor I: inconsistent shape: [4] is inferred from model e while "
        '[5] is inferred from model a"\n',
        {
            "e": "in ensemble e, ensemble tensor I: inconsistent shape: [4] is inferred from "
            "model e while [5] is inferred from model a"
        },
    ),
    "a config": (
        "[libprotobuf ERROR text_format.cc:337] Error parsing text-format inference.ModelConfig: "
        '1:19: Message type "inference.ModelConfig" has no field named "foo".\n'
        'E1121 02:45:45.743746 16145 model_repository_manager.cc:1460] "Poll failed for model '
        "directory 'rf': failed to read text proto from /r/rf/config.pbtxt\"\n",
        {
            "rf": "failed to read text proto from /r/rf/config.pbtxt: 1:19: Message type "
            '"inference.ModelConfig" has no field named "foo".'
        },
    ),
    "the table alone": (
        "| a     | 1       | READY                         |\n"
        "| b     | 1       | UNAVAILABLE: Internal: broken |\n",
        {"b": "Internal: broken"},
    ),
    "nothing": ("", {}),
}


@pytest.mark.parametrize("case", CASES)
def test_reasons(case: str) -> None:
    log, expected = CASES[case]
    assert failure.reasons((START + log + END).splitlines()) == expected


def test_a_taken_port() -> None:
    line = (
        'E1121 02:26:40.541814 4482 main.cc:293] "failed to start Metrics service: '
        "Unavailable - Socket '127.0.0.1:18002' already in use \""
    )
    assert failure.port_taken(["other", line]) == "127.0.0.1:18002"
    assert failure.port_taken(["other"]) is None


def test_entries_join_their_lines() -> None:
    lines = ["I1121 02:25:49.771012 3972 server.cc:604] ", "+--+", "| a |", "loose", END.strip()]
    assert failure.entries(lines) == [
        ("I", "loose"),
        ("E", "creating server: Internal - failed to load all models"),
    ]


def test_a_stub_that_gave_up_is_found_while_the_server_waits() -> None:
    lines = [
        'I1121 03:21:45.546870 10377 model_lifecycle.cc:472] "loading: m:1"',
        "I1121 03:21:45.565324 10387 pb_stub.cc:2105]  Failed to preinitialize Python stub: "
        "Python model file not found in '/srv/repository/m/1/model.py'",
    ]
    assert failure.stuck(lines) == {
        "m": "Python model file not found in '/srv/repository/m/1/model.py'"
    }
    assert failure.stuck(lines[:1]) == {}


def test_services_that_started() -> None:
    lines = [
        'I1121 04:31:35.188069 12854 grpc_server.cc:2558] "Started GRPCInferenceService at ::1:1"',
        'I1121 04:31:35.188276 12854 http_server.cc:4713] "Started HTTPService at 127.0.0.1:41099"',
        'I1121 04:31:35.229490 12854 http_server.cc:362] "Started Metrics Service at 127.0.0.1:3"',
    ]
    assert failure.started(lines[:1]) == {"GRPCInferenceService"}
    assert failure.started(lines) == {"GRPCInferenceService", "HTTPService", "Metrics Service"}


@pytest.mark.parametrize(
    "line",
    [
        "bash: -c: line 0: syntax error near unexpected token `('",
        "bash: line 1: /srv/a: No such file or directory",
        "  what():  stol",
        "/m/triton_python_backend_stub: error while loading shared libraries: libpython3.10.so.1.0:"
        " cannot open shared object file: No such file or directory",
        "/m/triton_python_backend_stub: /e/lib/libstdc++.so.6: version `GLIBCXX_3.4.30' not found "
        "(required by /m/triton_python_backend_stub)",
    ],
)
def test_a_shell_that_did_not_start_the_stub(line: str) -> None:
    assert failure.stuck(["other", line]) == {"": f"a Python stub did not start: {line.strip()}"}


def test_a_step_may_miss_a_command() -> None:
    assert failure.stuck(["bash: line 1: nvcc: command not found"]) == {}
