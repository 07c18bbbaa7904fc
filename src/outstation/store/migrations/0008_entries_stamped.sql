-- boot: while its clock was not set, it gave these entries their times: they move with it. 0: the times stand.
ALTER TABLE entry_log ADD COLUMN boot INTEGER NOT NULL DEFAULT 0;
ALTER TABLE entry_blocks ADD COLUMN boot INTEGER NOT NULL DEFAULT 0;

DROP INDEX entry_blocks_of;
CREATE INDEX entry_blocks_of ON entry_blocks (channel, end, boot);

-- For the newest value of a field, which pages ask for all the time: without it all blocks of a channel are read.
CREATE INDEX entry_blocks_by_number ON entry_blocks (channel, last, first, texts);

CREATE INDEX entry_log_unset ON entry_log (boot) WHERE boot > 0;
CREATE INDEX entry_blocks_unset ON entry_blocks (boot) WHERE boot > 0;
