/* xml.c: the few elements that are read of the store's answers, by expat. A document type, which no
 * store sends, is refused: so are entities of its making. */
#include <errno.h>
#include <expat.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "s3/s3_impl.h"

#define DEPTH 16
#define NAME_SIZE 48
#define TEXT_BYTES 8192

struct xml_reading {
	XML_Parser parser;
	s3_element_fn each;
	void *ctx;
	struct error *err;
	struct buf text; /* of the element that is open */
	char names[DEPTH][NAME_SIZE];
	unsigned depth;
	bool failed; /* `err` says why */
};

static void stop(struct xml_reading *r, bool ok)
{
	r->failed |= !ok;
	if (!ok)
		XML_StopParser(r->parser, XML_FALSE);
}

static bool fail_malformed(struct error *err)
{
	return fail_sys(err, EIO, "the store's answer is not the XML that it should be");
}

/* A prefix of a namespace says nothing here. */
static const char *local_name(const char *name)
{
	const char *colon = strchr(name, ':');

	return colon != NULL ? colon + 1 : name;
}

static void on_begin(void *ctx, const char *name, const char **attributes)
{
	struct xml_reading *r = ctx;

	(void)attributes;
	buf_clear(&r->text);
	if (r->depth == DEPTH ||
	    !slice_copy(slice_of(local_name(name)), r->names[r->depth], NAME_SIZE)) {
		stop(r, fail_malformed(r->err));
		return;
	}
	r->depth++;
}

static void on_text(void *ctx, const char *text, int n)
{
	struct xml_reading *r = ctx;

	buf_append(&r->text, text, (size_t)n);
	if (r->text.failed)
		stop(r, r->text.no_memory ? fail_memory(r->err) : fail_malformed(r->err));
}

static void on_end(void *ctx, const char *name)
{
	struct xml_reading *r = ctx;

	(void)name;
	if (r->failed)
		return;
	const char *around = r->depth > 1 ? r->names[r->depth - 2] : "";
	r->depth--;
	stop(r, r->each(r->ctx, around, r->names[r->depth], buf_slice(&r->text), r->err));
	buf_clear(&r->text);
}

static void on_doctype(void *ctx, const char *name, const char *system, const char *public,
		       int has_subset)
{
	struct xml_reading *r = ctx;

	(void)name;
	(void)system;
	(void)public;
	(void)has_subset;
	stop(r, fail_malformed(r->err));
}

bool s3_xml_read(struct slice xml, s3_element_fn each, void *ctx, struct error *err)
{
	struct xml_reading r = { .each = each, .ctx = ctx, .err = err, .text = BUF(TEXT_BYTES) };

	r.parser = XML_ParserCreate(NULL);
	if (r.parser == NULL)
		return fail_memory(err);
	XML_SetUserData(r.parser, &r);
	XML_SetElementHandler(r.parser, on_begin, on_end);
	XML_SetCharacterDataHandler(r.parser, on_text);
	XML_SetStartDoctypeDeclHandler(r.parser, on_doctype);
	bool ok = XML_Parse(r.parser, xml.n > 0 ? xml.p : "", (int)xml.n, XML_TRUE) ==
		  XML_STATUS_OK;
	enum XML_Error code = XML_GetErrorCode(r.parser);
	XML_ParserFree(r.parser);
	buf_free(&r.text);
	if (ok || r.failed)
		return ok;
	return code == XML_ERROR_NO_MEMORY ? fail_memory(err) : fail_malformed(err);
}

struct xml_find {
	const char *around, *name;
	char *to;
	size_t size;
	bool found;
};

static bool find_one(void *ctx, const char *around, const char *name, struct slice text,
		     struct error *err)
{
	struct xml_find *f = ctx;

	(void)err;
	if (!f->found && strcmp(around, f->around) == 0 && strcmp(name, f->name) == 0)
		f->found = slice_copy(text, f->to, f->size);
	return true;
}

bool s3_xml_find(struct slice xml, const char *around, const char *name, char *to, size_t size,
		 struct error *err)
{
	struct xml_find f = { .around = around, .name = name, .to = to, .size = size };

	to[0] = '\0';
	/* What was found stands, whatever comes behind it. */
	bool ok = s3_xml_read(xml, find_one, &f, err);
	return f.found || (ok && fail_sys(err, ENOMSG, "the store's answer has no %s", name));
}

int64_t s3_time(struct slice text)
{
	struct tm utc = { 0 };
	char copy[40];

	if (!slice_copy(text, copy, sizeof(copy)) ||
	    strptime(copy, "%Y-%m-%dT%H:%M:%S", &utc) == NULL)
		return 0;
	return (int64_t)timegm(&utc);
}
