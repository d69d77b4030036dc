# row-wise kernels
