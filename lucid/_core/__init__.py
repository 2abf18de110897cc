"""The engine: Tensors, their graph, and the programs that imperative functions become."""
