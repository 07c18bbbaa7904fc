"""The schema, as SQL files in order: NNNN_name.sql takes a file from version NNNN-1 to NNNN."""
