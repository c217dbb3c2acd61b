"""SIP, Sans-I/O: messages in, messages and events out; sockets and clocks are the drivers' business."""
