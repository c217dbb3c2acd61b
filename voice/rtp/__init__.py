"""Sound over RTP, Sans-I/O: packets and ticks in, packets and frames out; sockets and clocks are the driver's."""
