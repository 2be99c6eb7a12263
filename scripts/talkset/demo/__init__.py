"""The bundled demo: sources with known content, their annotation set, and the loopback server that yt-dlp asks."""
