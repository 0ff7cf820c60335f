/* walk.c: fts(3) keeps the names of the directories that it is in, and no others. */
#include "rows/walk.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static bool fail_path(const char *path, int number, struct error *err)
{
	return fail(err, ERR_INVALID, "%s: %s", path, strerrordesc_np(number));
}

static bool tree_open(struct document_walk *w, const char *path, struct error *err)
{
	char *const roots[] = { (char *)path, NULL };

	w->tree = fts_open(roots, FTS_LOGICAL | FTS_NOCHDIR, by_name);
	return w->tree != NULL || fail_sys(err, errno, "reading the directory %s", path);
}

/* The next file in the directory; NULL: there is none left, and it is closed. */
static bool tree_next(struct document_walk *w, const char **ret_path, struct error *err)
{
	FTSENT *entry;

	*ret_path = NULL;
	while (errno = 0, (entry = fts_read(w->tree)) != NULL) {
		bool hidden = entry->fts_level > 0 && entry->fts_name[0] == '.';

		if (hidden)
			(void)fts_set(w->tree, entry, FTS_SKIP);
		else if (entry->fts_info == FTS_DNR || entry->fts_info == FTS_ERR ||
			 entry->fts_info == FTS_NS)
			return fail_path(entry->fts_path, entry->fts_errno, err);
		else if (entry->fts_info == FTS_F) {
			*ret_path = entry->fts_path;
			return true;
		}
	}
	if (errno != 0)
		return fail_sys(err, errno, "reading the directory %s", w->paths[w->next - 1]);
	walk_close(w);
	return true;
}

bool walk_next(struct document_walk *w, const char **ret_path, struct error *err)
{
	struct stat st;

	for (;;) {
		if (w->tree != NULL && !tree_next(w, ret_path, err))
			return false;
		if (w->tree != NULL)
			return true;
		*ret_path = w->next < w->count ? w->paths[w->next++] : NULL;
		if (*ret_path == NULL || strcmp(*ret_path, "-") == 0)
			return true;
		if (stat(*ret_path, &st) != 0)
			return fail_path(*ret_path, errno, err);
		if (!S_ISDIR(st.st_mode))
			return true;
		if (!tree_open(w, *ret_path, err))
			return false;
	}
}

void walk_close(struct document_walk *w)
{
	if (w->tree != NULL)
		fts_close(w->tree);
	w->tree = NULL;
}
