"""Folders: the artifact of a portfolio and the journal of a build. Reading them runs no code from the folder."""
