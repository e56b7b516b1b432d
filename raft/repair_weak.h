/* SPDX-License-Identifier: Apache-2.0 */
/* Weaker forms of the rules, one for each thing that a clause of safety.md C
 * says, so that tests can show that each is needed: with any of them on, a test
 * fails. Only a test that compiles the sources with REPAIR_WEAKENED has them
 * (test/repair_weakened.h); everywhere else WEAK() is false. */
#ifndef TIDEMARK_RAFT_REPAIR_WEAK_H
#define TIDEMARK_RAFT_REPAIR_WEAK_H

#define REPAIR_WEAKNESSES(X)                                                                       \
    X(QUESTION)       /* an answer counts for any question */                                      \
    X(CRC)            /* an entry is taken whatever its checksum */                                \
    X(IDENTITY)       /* an entry is taken for another (index, term) */                            \
    X(C1_TERM)        /* any whole entry at the index fills a hole */                              \
    X(C21_TERM)       /* a leader of any term decides */                                           \
    X(C22_HOLE)       /* a term above that of the hole is enough */                                \
    X(C22_UNKNOWN)    /* also with an unknown slot further on */                                   \
    X(C23_SILENT)     /* no answer counts as never had */                                          \
    X(C23_DAMAGED)    /* damaged counts as never had */                                            \
    X(C23_UNKNOWN)    /* unknown counts as never had */                                            \
    X(C23_SPARE)      /* who is no voter counts */                                                 \
    X(C23_TERM)       /* no term above ours is promised */                                         \
    X(C23_TAIL)       /* our term is the last known one although unknown slots follow */           \
    X(C23_COUNT)      /* one voter fewer is enough */                                              \
    X(C23_EVEN)       /* half of an even number of voters is enough */                             \
    X(C23_CONFIGS)    /* only the latest configuration counts */                                   \
    X(C23_HIDDEN)     /* membership entries in lost slots are not thought of */                    \
    X(DROP_TERM)      /* no term is persisted before a drop */                                     \
    X(DROP_OWN)       /* the term persisted may be no higher than our own */                       \
    X(BEGAN)          /* the stored term is that of now, not of when the repair began */           \
    X(C3_TWO)         /* an entry that two hold whole fills an unknown slot */                     \
    X(C3_HIGHEST)     /* the entry of the highest term held fills it */                            \
    X(C3_SLOT)        /* the deciding log gives that slot alone */                                 \
    X(C3_AFTER)       /* everything after an unknown slot is dropped */                            \
    X(C3_BELOW)       /* what is before the slot is not compared */                                \
    X(C3_COMPARE)     /* an unknown slot of the deciding log compares as equal */                  \
    X(C3_BEST)        /* any counted log decides, not the most up-to-date */                       \
    X(C3_END)         /* a log with an unknown end can be the most up-to-date */                   \
    X(PIN)            /* our next known entry needs no holder */                                   \
    X(TOP_TERM)       /* an entry of any term that agrees below fills an unknown slot */           \
    X(TOP_NEXT)       /* our next known entry may be of another term */                            \
    X(TOP_BELOW)      /* our nearest known slot below may differ */                                \
    X(C5_LATER)       /* a snapshot taken for repair voids what is later */                        \
    X(C5_IDENTITY)    /* what is later is kept whatever the identity at S */                       \
    X(ANSWER_DAMAGED) /* a damaged slot is answered as never had */                                \
    X(ANSWER_END)     /* an unknown end is answered as an end */                                   \
    X(ANSWER_CUT)     /* what is cut away is answered as never had */

#define REPAIR_WEAK_NAME(name) WEAK_##name,
enum repair_weakness { REPAIR_WEAKNESSES(REPAIR_WEAK_NAME) WEAK_COUNT };
#undef REPAIR_WEAK_NAME

#ifdef REPAIR_WEAKENED
static enum repair_weakness repair_weakness = WEAK_COUNT; /* the one that is on */
#define WEAK(name) (repair_weakness == WEAK_##name)
#else
#define WEAK(name) false
#endif

#endif
