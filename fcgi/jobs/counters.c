/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The public ends of the collector and the transfer manager for other processes: asking for work,
 * and reading what they published.  Apart from the managers themselves, so that workers need not be
 * linked with those.
 */
#include "fcgi/jobs/counters.h"

#include "fcgi/jobs/proc.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define COLLECTOR_LIST(c)                                                                          \
    {                                                                                              \
        { "sweeps", &(c)->sweeps }, { "deleted", &(c)->deleted }, { "freed", &(c)->freed },        \
            { "pending", &(c)->pending },                                                          \
    }
#define TRANSFER_LIST(c)                                                                           \
    {                                                                                              \
        { "queue", &(c)->queue }, { "missing", &(c)->missing }, { "lost", &(c)->lost },            \
            { "sent", &(c)->sent }, { "fetched", &(c)->fetched }, { "sweeps", &(c)->sweeps },      \
    }

void sx_collector_poke(const char *dir)
{
    sx_proc_poke(dir, SX_COLLECTOR_POKE);
}

void sx_collector_counters(const char *dir, struct sx_collector_counters *c)
{
    const struct sx_proc_counter list[] = COLLECTOR_LIST(c);

    sx_proc_read(dir, "collector", list, COUNT(list));
}

void sx_collector_publish(const char *dir, struct sx_collector_counters *c)
{
    const struct sx_proc_counter list[] = COLLECTOR_LIST(c);

    sx_proc_publish(dir, "collector", list, COUNT(list));
}

void sx_transfer_poke(const char *dir)
{
    sx_proc_poke(dir, SX_TRANSFER_POKE);
}

void sx_transfer_counters(const char *dir, struct sx_transfer_counters *c)
{
    const struct sx_proc_counter list[] = TRANSFER_LIST(c);

    sx_proc_read(dir, "transfer", list, COUNT(list));
}

void sx_transfer_publish(const char *dir, struct sx_transfer_counters *c)
{
    const struct sx_proc_counter list[] = TRANSFER_LIST(c);

    sx_proc_publish(dir, "transfer", list, COUNT(list));
}
