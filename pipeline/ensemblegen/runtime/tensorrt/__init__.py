"""What goes along with a model whose TensorRT plan is built where it is served."""
