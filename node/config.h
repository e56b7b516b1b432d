/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration of one node, from four sources. Every option of
 * config_option.h is a flag (--wal-segment-size), a variable
 * (TIDEMARK_WAL_SEGMENT_SIZE) and a key of a TOML file (wal-segment-size); the
 * first of these that gives it counts, then the default. Of a flag given twice
 * the last counts; an empty variable is none.
 *
 * Unknown flags and keys are errors with a "did you mean"; an unknown TIDEMARK_*
 * variable only if it looks like a known one (the client has variables of its
 * own, and container platforms invent some). What concerns the whole cluster is
 * not here but a setting in the replicated state. */
#ifndef TIDEMARK_NODE_CONFIG_H
#define TIDEMARK_NODE_CONFIG_H

#include "base/bytes.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/log.h"
#include "io/io.h"
#include "node/control.h"
#include "wal/wal.h"

enum {
    CONFIG_OPTIONS_MAX = 32,
    CONFIG_FILE_SIZE_MAX = 256 * LIMIT_KIB,
    CONFIG_TEST_SEGMENT_SIZE_MIN = 64 * LIMIT_KIB, /* with test-small-segments */
};

enum config_command { CONFIG_RUN, CONFIG_HELP, CONFIG_VERSION, CONFIG_PRINT };
enum config_source { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_FLAG };
enum config_log_format { CONFIG_LOG_TEXT, CONFIG_LOG_JSON };

struct config_peers {
    size_t count;
    char items[LIMIT_NODES_MAX][LIMIT_ADDRESS_SIZE_MAX + 1]; /* sorted, without duplicates */
};

/* Plain data. Addresses are "host:port" or "[v6]:port". */
struct config {
    enum config_command command;
    enum config_source sources[CONFIG_OPTIONS_MAX]; /* by place in the table of options */

    bool help, version, print_config;
    char file[IO_PATH_MAX]; /* the TOML file; "" for none */

    char name[LIMIT_NAME_SIZE_MAX + 1]; /* default: from advertise_peer */
    char data_dir[IO_PATH_MAX];
    char listen_client[LIMIT_ADDRESS_SIZE_MAX + 1];
    char advertise_client[LIMIT_ADDRESS_SIZE_MAX + 1]; /* default: listen_client */
    char listen_peer[LIMIT_ADDRESS_SIZE_MAX + 1];
    char advertise_peer[LIMIT_ADDRESS_SIZE_MAX + 1]; /* default: listen_peer */
    struct config_peers peers;                       /* empty: standalone */
    bool cluster;                                    /* peers were given */

    uint64_t wal_segment_size;   /* of a new data directory */
    bool wal_segment_size_given; /* then an older one must have it, too */
    bool test_small_segments;    /* not in --help: lets tests have segments of 64 KiB */
    enum wal_level wal_level;    /* of a new data directory of one node alone */
    bool recovery_mode_given;    /* for this start only, else as stored (safety.md D3) */
    enum wal_recovery_mode recovery_mode;
    uint64_t message_size_max; /* of one request of a client */
    uint64_t drain_limit_ms;   /* how long SIGTERM waits for open requests */
    enum log_level log_level;
    enum config_log_format log_format;
};

struct config_input {
    int argc;
    const char *const *argv;        /* argv[0] is skipped */
    const char *const *environment; /* "NAME=value" ..., NULL at the end; may be NULL */
    struct io *io;                  /* to read the file */
};

/* ERR_INVALID with a text for the user (exit status 2); ERR_NOT_FOUND, ERR_IO
 * for the file. With CONFIG_HELP and CONFIG_VERSION only the flags were looked at. */
MUST_CHECK enum err_code config_load(const struct config_input *input, struct config *out,
                                     struct err *e);
/* Each option, its value and where it came from, one a line. */
void config_print_origin(const struct config *c, struct buf *out);
void config_print_help(struct buf *out);

#endif
