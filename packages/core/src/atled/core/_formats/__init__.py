"""The file formats that core brings, each an object that the entry-point group ``atled.formats`` names."""
