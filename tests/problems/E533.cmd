env verify without_archive
