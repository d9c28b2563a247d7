"""Definitions of DALI pipelines, each with something wrong."""

from nvidia.dali import fn, types


def raises():
    encoded = fn.external_source(name="encoded")
    return fn.decoders.image(encoded, output_typ=types.RGB)


def differs(device):
    return fn.external_source(name=f"encoded_{device}", dtype=types.UINT8, ndim=1)
