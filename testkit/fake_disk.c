/* SPDX-License-Identifier: Apache-2.0 */
#include "testkit/fake_disk.h"

#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/mem.h"
#include "testkit/fake_disk_calls.h"
#include "testkit/fake_disk_damage.h"

enum { WRITE_BACK_DEFAULT = 64 * 1024 };

struct fake_disk_image {
    struct disk_state state;
};

struct fake_disk *fake_disk_create(uint64_t seed)
{
    struct fake_disk *d = mem_zalloc(sizeof *d);
    d->io.ops = &fake_disk_ops;
    disk_state_init(&d->state);
    d->calls_max = UINT64_MAX;
    d->capacity_pages = UINT64_MAX;
    d->write_back_max = WRITE_BACK_DEFAULT;
    d->entropy = random_seeded(seed);
    return d;
}

void fake_disk_destroy(struct fake_disk *d)
{
    if (d == NULL) {
        return;
    }
    while (d->files != NULL) {
        file_close(&d->files->file);
    }
    disk_state_deinit(&d->state);
    mem_free(d);
}

struct io *fake_disk_io(struct fake_disk *d)
{
    return &d->io;
}

/* --- crashes --- */

void fake_disk_kill(struct fake_disk *d)
{
    for (struct fake_file *f = d->files; f != NULL; f = f->next) {
        fake_file_detach(f);
    }
}

void fake_disk_power_fail_by(struct fake_disk *d, const struct fake_disk_chooser *chooser)
{
    fake_disk_kill(d);
    disk_state_power_fail(&d->state, chooser);
}

/* How one random power failure treats one file. */
struct random_loss {
    struct random *random;
    size_t file;            /* of the last question */
    uint64_t kept_of_8;     /* chance of each sector */
    uint64_t prefix;        /* so many are kept before chance decides */
    uint64_t names_of_8;    /* chance of each name change */
    bool names_lost;        /* of all directories, once one was lost: a journal */
    bool names_are_journal; /* changes of names survive as one prefix */
};

/* Mostly all or nothing, as when a file's pages went out together or not. */
static uint64_t random_eighths(struct random *r)
{
    static const uint64_t eighths[] = {0, 0, 8, 8, 1, 4, 4, 7};
    return eighths[random_below(r, sizeof eighths / sizeof eighths[0])];
}

static bool keep_at_random(void *context, size_t file)
{
    struct random_loss *loss = context;
    if (file != loss->file) {
        loss->file = file;
        loss->kept_of_8 = random_eighths(loss->random);
        /* A random scale first, so that short prefixes are as likely as long ones. */
        loss->prefix =
            random_chance(loss->random, 1, 2)
                ? random_below(loss->random, UINT64_C(1) << random_below(loss->random, 12))
                : 0;
    }
    if (loss->prefix > 0) {
        loss->prefix--;
        return true;
    }
    return random_chance(loss->random, loss->kept_of_8, 8);
}

static bool keep_name_at_random(void *context)
{
    struct random_loss *loss = context;
    bool keep = random_chance(loss->random, loss->names_of_8, 8) &&
                !(loss->names_are_journal && loss->names_lost);
    loss->names_lost = loss->names_lost || !keep;
    return keep;
}

void fake_disk_power_fail(struct fake_disk *d, struct random *r)
{
    struct random_loss loss = {
        .random = r,
        .file = SIZE_MAX,
        .names_of_8 = random_eighths(r),
        .names_are_journal = random_chance(r, 1, 2),
    };
    fake_disk_power_fail_by(
        d, &(struct fake_disk_chooser){keep_at_random, keep_name_at_random, &loss});
}

static bool answer(void *context, size_t file)
{
    (void)file;
    return *(const bool *)context;
}

static bool answer_name(void *context)
{
    return *(const bool *)context;
}

void fake_disk_power_fail_lose_all(struct fake_disk *d)
{
    bool keep = false;
    fake_disk_power_fail_by(d, &(struct fake_disk_chooser){answer, answer_name, &keep});
}

void fake_disk_power_fail_keep_all(struct fake_disk *d)
{
    bool keep = true;
    fake_disk_power_fail_by(d, &(struct fake_disk_chooser){answer, answer_name, &keep});
}

struct listed_loss {
    const bool *keep; /* the next answer */
    uint64_t names_left;
};

static bool keep_listed(void *context, size_t file)
{
    (void)file;
    struct listed_loss *loss = context;
    return *loss->keep++;
}

static bool keep_name_listed(void *context)
{
    struct listed_loss *loss = context;
    if (loss->names_left == 0) {
        return false;
    }
    loss->names_left--;
    return true;
}

void fake_disk_power_fail_keep(struct fake_disk *d, const bool *keep, uint64_t names_kept)
{
    struct listed_loss loss = {keep, names_kept};
    fake_disk_power_fail_by(d, &(struct fake_disk_chooser){keep_listed, keep_name_listed, &loss});
}

uint64_t fake_disk_pending(const struct fake_disk *d)
{
    return disk_state_choices(&d->state);
}

uint64_t fake_disk_pending_names(const struct fake_disk *d)
{
    return d->state.change_count;
}

void fake_disk_evict(struct fake_disk *d)
{
    for (size_t i = 0; i < d->state.inode_count; i++) {
        fake_content_evict(&d->state.inodes[i]->content);
    }
}

void fake_disk_set_write_back(struct fake_disk *d, uint64_t sectors_max)
{
    d->write_back_max = sectors_max;
}

/* --- calls that fail --- */

void fake_disk_fail(struct fake_disk *d, struct fake_disk_fault rule)
{
    CHECK(rule.call < FAKE_DISK_CALL_COUNT);
    CHECK(rule.nth > 0);
    CHECK(rule.code != ERR_OK || rule.call == FAKE_DISK_READ || rule.call == FAKE_DISK_SYNC ||
          rule.call == FAKE_DISK_SYNC_DIR);
    size_t i = 0;
    while (i < FAKE_DISK_FAULTS_MAX && d->faults[i].armed) {
        i++;
    }
    CHECK(i < FAKE_DISK_FAULTS_MAX);
    const char *filter = rule.path == NULL ? "" : rule.path;
    CHECK(strlen(filter) < sizeof d->faults[i].filter);
    d->faults[i] = (struct fault){.rule = rule, .armed = true};
    (void)snprintf(d->faults[i].filter, sizeof d->faults[i].filter, "%s", filter);
    d->faults[i].rule.path = NULL; /* was the caller's */
}

void fake_disk_fail_next(struct fake_disk *d, enum fake_disk_call call, enum err_code code)
{
    fake_disk_fail(d, (struct fake_disk_fault){.call = call, .nth = 1, .code = code});
}

void fake_disk_clear_faults(struct fake_disk *d)
{
    memset(d->faults, 0, sizeof d->faults);
    d->calls_max = UINT64_MAX;
}

uint64_t fake_disk_faults_seen(const struct fake_disk *d)
{
    return d->faults_seen;
}

uint64_t fake_disk_calls(const struct fake_disk *d)
{
    return d->calls;
}

uint64_t fake_disk_calls_of(const struct fake_disk *d, enum fake_disk_call call)
{
    CHECK(call < FAKE_DISK_CALL_COUNT);
    return d->calls_of[call];
}

void fake_disk_stop_after(struct fake_disk *d, uint64_t calls)
{
    CHECK(calls <= UINT64_MAX - d->calls);
    d->calls_max = d->calls + calls;
}

void fake_disk_watch(struct fake_disk *d, void (*before)(void *context), void *context)
{
    d->watcher = before;
    d->watcher_context = context;
}

/* --- state --- */

struct fake_disk_image *fake_disk_snapshot(const struct fake_disk *d)
{
    struct fake_disk_image *image = mem_zalloc(sizeof *image);
    disk_state_init_copy(&image->state, &d->state);
    return image;
}

void fake_disk_restore(struct fake_disk *d, const struct fake_disk_image *image)
{
    fake_disk_kill(d);
    disk_state_deinit(&d->state);
    disk_state_init_copy(&d->state, &image->state);
}

void fake_disk_image_free(struct fake_disk_image *image)
{
    if (image != NULL) {
        disk_state_deinit(&image->state);
        mem_free(image);
    }
}

void fake_disk_set_capacity(struct fake_disk *d, uint64_t size)
{
    d->capacity_pages = size == 0 ? UINT64_MAX : size / SPARSE_PAGE_SIZE;
}

uint64_t fake_disk_used(const struct fake_disk *d)
{
    return disk_state_pages_taken(&d->state) * SPARSE_PAGE_SIZE;
}

size_t fake_disk_open_files(const struct fake_disk *d)
{
    return d->file_count;
}

void fake_disk_set_monotonic(struct fake_disk *d, uint64_t us)
{
    CHECK(us >= d->monotonic_us);
    d->monotonic_us = us;
}

void fake_disk_set_wall(struct fake_disk *d, int64_t us)
{
    d->wall_us = us;
}

/* --- fake_disk_damage.h --- */

static struct fake_content *content_of(const struct fake_disk *d, const char *path)
{
    struct inode *inode = disk_state_find(&d->state, path);
    if (inode == NULL || inode->is_dir) {
        PANIC("%s: no such file on the fake disk", path);
    }
    return &inode->content;
}

void fake_disk_overwrite(struct fake_disk *d, const char *path, uint64_t offset, struct bytes data)
{
    fake_content_damage(content_of(d, path), offset, data);
}

void fake_disk_flip_bit(struct fake_disk *d, const char *path, uint64_t offset, unsigned bit)
{
    CHECK(bit < 8);
    uint8_t byte = 0;
    CHECK(fake_disk_peek(d, path, offset, &byte, 1) == 1);
    byte ^= (uint8_t)(1U << bit);
    fake_disk_overwrite(d, path, offset, bytes_of(&byte, 1));
}

void fake_disk_zero(struct fake_disk *d, const char *path, uint64_t offset, uint64_t size)
{
    struct buf zeros = {0};
    buf_put_zeros(&zeros, (size_t)size);
    fake_disk_overwrite(d, path, offset, buf_bytes(&zeros));
    buf_deinit(&zeros);
}

void fake_disk_garbage(struct fake_disk *d, const char *path, uint64_t offset, uint64_t size,
                       struct random *r)
{
    struct buf garbage = {0};
    for (uint64_t i = 0; i < size; i++) {
        buf_put_u8(&garbage, (uint8_t)random_u64(r));
    }
    fake_disk_overwrite(d, path, offset, buf_bytes(&garbage));
    buf_deinit(&garbage);
}

static void copy_range(struct fake_disk *d, const struct sparse *from, uint64_t offset_from,
                       struct fake_disk_place to, uint64_t size)
{
    struct buf range = {0};
    uint8_t *at = buf_extend(&range, (size_t)size);
    CHECK(sparse_read(from, offset_from, at, (size_t)size) == size);
    fake_disk_overwrite(d, to.path, to.offset, buf_bytes(&range));
    buf_deinit(&range);
}

void fake_disk_misdirect(struct fake_disk *d, struct fake_disk_place from,
                         struct fake_disk_place to, uint64_t size)
{
    copy_range(d, &content_of(d, from.path)->cache, from.offset, to, size);
}

void fake_disk_stale(struct fake_disk *d, const struct fake_disk_image *image, const char *path,
                     uint64_t offset, uint64_t size)
{
    const struct inode *old = disk_state_find(&image->state, path);
    CHECK(old != NULL);
    copy_range(d, &old->content.cache, offset, (struct fake_disk_place){path, offset}, size);
}

void fake_disk_truncate(struct fake_disk *d, const char *path, uint64_t size)
{
    fake_content_damage_size(content_of(d, path), size);
}

void fake_disk_remove(struct fake_disk *d, const char *path)
{
    char name[IO_NAME_MAX + 1];
    (void)content_of(d, path); /* is a file */
    struct inode *dir = disk_state_find_parent(&d->state, path, name);
    disk_state_remove(&d->state, dir, name);
    disk_state_sync_dir(&d->state, dir);
}

void fake_disk_read_error(struct fake_disk *d, const char *path, uint64_t offset, uint64_t size)
{
    struct fake_content *content = content_of(d, path);
    CHECK(offset + size <= content->cache.size);
    fake_content_add_bad_sectors(content, offset, size);
}

uint64_t fake_disk_file_size(const struct fake_disk *d, const char *path)
{
    return content_of(d, path)->cache.size;
}

bool fake_disk_has(const struct fake_disk *d, const char *path)
{
    return disk_state_find(&d->state, path) != NULL;
}

size_t fake_disk_peek(const struct fake_disk *d, const char *path, uint64_t offset, void *dst,
                      size_t size)
{
    return sparse_read(&content_of(d, path)->cache, offset, dst, size);
}

size_t fake_disk_peek_platter(const struct fake_disk *d, const char *path, uint64_t offset,
                              void *dst, size_t size)
{
    return sparse_read(&content_of(d, path)->platter, offset, dst, size);
}
