/* SPDX-License-Identifier: Apache-2.0 */
/* Rules taken out one at a time, for the test that shows that each is needed
 * (test/mutations.c). Only the library made for that test, and for the bench of what
 * one of them costs, knows them; everywhere else WAL_MUTATED() is false and costs nothing. */
#ifndef TIDEMARK_WAL_WAL_MUTATION_H
#define TIDEMARK_WAL_WAL_MUTATION_H

enum wal_mutation {
    WAL_MUTATION_NONE,
    /* A1 */
    WAL_MUTATION_NO_DROP,       /* a DROP record has no effect at open */
    WAL_MUTATION_BELOW_CUT,     /* records at or below the cut replace nothing */
    WAL_MUTATION_FRAME_AT_ONCE, /* framed entries count without their END */
    /* A2 */
    WAL_MUTATION_NO_ZEROS,     /* a recycled segment is used as it is */
    WAL_MUTATION_TRUST_SPARES, /* a spare found at open is taken for zeroed */
    /* A3 */
    WAL_MUTATION_HEADER_DURABLE, /* headers don't state the durable position */
    WAL_MUTATION_EXTENT_DURABLE, /* open does not write the position that it found */
    WAL_MUTATION_SWITCH_SYNC,    /* the full segment is not synced before the next */
    WAL_MUTATION_SWITCH_DIR,     /* ... nor the next one's name */
    WAL_MUTATION_EXTENT_LATE,    /* hard state names a segment only at the one after it */
    WAL_MUTATION_EXTENT_FIRST,   /* hard state names a segment before it is made */
    WAL_MUTATION_CUT_FIRST,      /* a cut renames before hard state says so */
    WAL_MUTATION_CUT_SYNC,       /* ... or while replacements are not yet synced */
    /* A4 */
    WAL_MUTATION_BAD_IS_END, /* whatever fails its checksum ends the log */
    WAL_MUTATION_NEVER_TORN, /* a tear reads as damage */
    WAL_MUTATION_TORN_STAYS, /* a torn tail is not zeroed */
    WAL_MUTATION_ANY_LSN,    /* a header counts wherever it stands */
    /* A5 */
    WAL_MUTATION_NO_IDENTIFIERS,   /* identifiers are not used */
    WAL_MUTATION_IDENTIFIERS_STAY, /* those above the end are not zeroed */
    WAL_MUTATION_NO_FRAME_BIT,     /* identifiers don't say that a record is framed */
    WAL_MUTATION_NO_BEFORE,        /* the term of the entry before is not compared */
    WAL_MUTATION_NO_SEQUENCE,      /* a gap in sequence numbers is not noticed */
    WAL_MUTATION_END_KNOWN,        /* an unknown record at the end is ignored */
    /* A6 */
    WAL_MUTATION_NO_SETTLE,      /* what was read is not written again */
    WAL_MUTATION_SETTLE_NO_SYNC, /* ... or not synced */
    /* A7 */
    WAL_MUTATION_MISSING_IS_EMPTY, /* a missing segment is skipped */
    WAL_MUTATION_NO_EXTENT_CHECK,  /* what the extent says was held is not compared */
    /* A8 */
    WAL_MUTATION_NO_SIDE_MARK, /* a repair in place leaves no mark */
    /* A9 */
    WAL_MUTATION_NO_ANSWER, /* what a recovery mode dropped is not recorded */
    WAL_MUTATION_COUNT,
    /* No rule, but what the identifiers of A5 cost: they are not written (scripts/bench wal). */
    WAL_MUTATION_UNIDENTIFIED
};

#ifdef TIDEMARK_WAL_MUTATIONS
extern enum wal_mutation wal_mutation;
#define WAL_MUTATED(name) (wal_mutation == WAL_MUTATION_##name)
#else
#define WAL_MUTATED(name) 0
#endif

#endif
