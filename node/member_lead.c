/* SPDX-License-Identifier: Apache-2.0 */
/* Handing over the lead. The replica tries one voter for two election timeouts,
 * and takes no entries meanwhile: it had better be one that is there. */
#include "node/member_internal.h"

uint64_t member_lead_successor(const struct member *m)
{
    uint64_t best = 0;
    uint64_t best_match = 0;
    for (size_t i = 0; member_is_leader(m) && i < m->configuration.count; i++) {
        const struct server *s = &m->configuration.servers[i];
        uint64_t match = 0;
        uint64_t silent_ms = 0;
        if (s->role != SERVER_VOTER || s->id == m->hard.directory_id ||
            !member_peer_connected(m, s->id) ||
            !replica_peer(m->replica, s->id, &match, &silent_ms)) {
            continue;
        }
        if (best == 0 || match > best_match) {
            best = s->id;
            best_match = match;
        }
    }
    return best;
}

void member_lead_give(struct member *m)
{
    struct event ev = {.type = EVENT_TRANSFER, .id = member_lead_successor(m)};
    if (ev.id != 0) {
        (void)member_raft_step(m, &ev, NULL); /* refused while one is under way */
    }
}
