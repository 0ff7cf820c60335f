/* bucket.c: S3: objects by name. What was put is read; what was deleted is not. */
#include "world.h"

static void bucket_delete(struct world *w, const struct op *op)
{
	for (unsigned key = 0; key < OBJECTS_MAX; key++) {
		if ((op->names[key / 64] >> key % 64 & 1) == 0 || w->bucket.objects[key] == NONE)
			continue;
		if (database_names(w, key))
			truth_broken(w, "an object that a row names is deleted", "object %u", key);
		trace(w, "bucket: object %u is deleted", key);
		w->bucket.objects[key] = NONE;
		w->figures.objects_deleted++;
	}
}

void bucket_apply(struct world *w, struct op *op)
{
	op->applied = DONE;
	switch (op->kind) {
	case OP_PUT:
		w->bucket.objects[w->objects[op->object].key] = op->object;
		break;
	case OP_READ:
		for (unsigned i = 0; i < op->n_pieces; i++)
			if (w->bucket.objects[op->pieces[i]] == NONE)
				op->applied = REFUSED;
		break;
	case OP_LIST:
		for (unsigned i = 0; i < NAMES_WORDS; i++)
			op->names[i] = 0;
		for (unsigned key = 0; key < w->n_objects; key++)
			if (w->bucket.objects[key] != NONE)
				op->names[key / 64] |= UINT64_C(1) << key % 64;
		break;
	default:
		bucket_delete(w, op);
		break;
	}
}
