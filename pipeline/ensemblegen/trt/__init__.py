"""TensorRT plans are built here: by `compile` where trtexec is, else by what goes along."""
