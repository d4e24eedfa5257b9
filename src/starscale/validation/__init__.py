"""A catalogue tested with clusters, benchmark stars, seismology, other catalogues and wide binaries."""
