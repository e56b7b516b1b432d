/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>

#include "node/test/membership/world.h"

static size_t cluster_of(struct world *w, uint64_t cluster_id)
{
    struct oracle *o = &w->oracle;
    for (size_t i = 0; i < o->cluster_count; i++) {
        if (o->clusters[i] == cluster_id) {
            return i;
        }
    }
    if (o->cluster_count == CLUSTERS_MAX) {
        w->ended = true;
        return 0;
    }
    o->clusters[o->cluster_count] = cluster_id;
    return o->cluster_count++;
}

void oracle_founded(struct world *w, uint64_t cluster_id)
{
    struct oracle *o = &w->oracle;
    for (size_t i = 0; i < o->cluster_count; i++) {
        if (o->writes[i] > 0) {
            wrong(w, "founded again, %u acknowledged writes are abandoned", o->writes[i]);
        }
    }
    (void)cluster_of(w, cluster_id);
}

static bool same_entry(const struct entry *a, const struct entry *b)
{
    return a->kind == b->kind && a->term == b->term && a->value == b->value;
}

static void count_write(struct world *w, size_t cluster)
{
    struct oracle *o = &w->oracle;
    o->writes[cluster]++;
    for (size_t i = 0; i < o->cluster_count; i++) {
        if (i != cluster && o->writes[i] > 0) {
            wrong(w, "writes were acknowledged in two clusters");
        }
    }
}

void oracle_committed(struct world *w, const struct directory *d, size_t index)
{
    struct oracle *o = &w->oracle;
    size_t c = cluster_of(w, d->hard.cluster_id);
    const struct entry *entry = &d->log[index - 1];
    if (o->is_committed[c][index]) {
        if (!same_entry(&o->committed[c][index], entry)) {
            wrong(w, "committed entry %zu is contradicted by disk %zu", index, disk_of(w, d));
        }
        return;
    }
    o->is_committed[c][index] = true;
    o->committed[c][index] = *entry;
    o->committed_max[c] = index > o->committed_max[c] ? index : o->committed_max[c];
    if (entry->kind == ENTRY_WRITE) {
        count_write(w, c);
    }
}

void oracle_voted(struct world *w, const struct directory *candidate, uint64_t voter)
{
    size_t c = cluster_of(w, candidate->hard.cluster_id);
    if (candidate->hard.term >= TERMS_MAX) {
        w->ended = true;
        return;
    }
    uint64_t *vote = &w->oracle.vote[c][voter][candidate->hard.term];
    if (*vote != 0 && *vote != candidate->hard.directory_id) {
        wrong(w, "directory %" PRIu64 " voted twice in term %" PRIu64, voter, candidate->hard.term);
    }
    *vote = candidate->hard.directory_id;
}

void oracle_leads(struct world *w, const struct directory *d)
{
    struct oracle *o = &w->oracle;
    size_t c = cluster_of(w, d->hard.cluster_id);
    uint64_t term = d->hard.term;
    if (term >= TERMS_MAX) {
        w->ended = true;
        return;
    }
    size_t disk = disk_of(w, d) + 1;
    if (o->leader[c][term] != 0 &&
        (o->leader[c][term] != disk || o->leader_id[c][term] != d->hard.directory_id)) {
        wrong(w, "two leaders in term %" PRIu64, term);
    }
    o->leader[c][term] = disk;
    o->leader_id[c][term] = d->hard.directory_id;
    for (size_t i = 1; i <= o->committed_max[c]; i++) {
        bool held = i <= d->count && same_entry(&d->log[i - 1], &o->committed[c][i]);
        if (o->is_committed[c][i] && o->committed[c][i].term < term && !held) {
            wrong(w, "committed entry %zu is lost: the leader on disk %zu lacks it", i, disk - 1);
        }
    }
}
