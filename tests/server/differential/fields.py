"""Fields, right and wrong, that people put where they may not belong."""

NAMES = ("a b", "ä", "x/y", "x.y", "-", "", "I0", "T0", "INPUT__0", "ENSEMBLE", "x" * 300)

OF_PORTS = (
    "format: FORMAT_NHWC",
    "format: FORMAT_NONE",
    "is_shape_tensor: true",
    "allow_ragged_batch: true",
    "is_non_linear_format_io: true",
    'label_filename: "labels.txt"',
    "dims: 1",
    'name: "other"',
)

OF_ENSEMBLES = (
    "instance_group { kind: KIND_CPU }",
    "instance_group { count: 2 }",
    "optimization { }",
    "optimization { priority: PRIORITY_MAX }",
    'model_warmup { name: "w" batch_size: 1 inputs { key: "X" value { data_type: TYPE_FP32 '
    "dims: [ 4 ] zero_data: true } } }",
    "dynamic_batching { }",
    "sequence_batching { }",
    'backend: "python"',
    'backend: "ensemble"',
    "response_cache { enable: true }",
    'parameters { key: "k" value { string_value: "v" } }',
    'metric_tags { key: "k" value: "v" }',
    "version_policy { all { } }",
    "version_policy { latest { num_versions: 3 } }",
    "version_policy { latest { num_versions: 0 } }",
    "version_policy { specific { versions: 1 } }",
    "version_policy { specific { versions: [ 1, 7 ] } }",
    "version_policy { specific { versions: 7 } }",
    "version_policy { specific { } }",
    "model_transaction_policy { decoupled: true }",
    "model_transaction_policy { decoupled: false }",
    'default_model_filename: "x"',
    'cc_model_filenames { key: "7.5" value: "x" }',
    "model_operations { }",
    'name: "other"',
    'runtime: "x"',
    "ensemble_scheduling { }",
    "max_inflight_requests: 3",
    "input { }",
    "}",
    "max_batch_size: 8",
    "# a comment",
)
