// ldapts at work: every step says what the library made of the answer, and throws where it should not be so.
import { createRequire } from 'node:module';
import { readFileSync } from 'node:fs';
const { Client, Attribute, Change, InvalidCredentialsError, NoSuchObjectError, PagedResultsControl,
    ServerSideSortingRequestControl } = createRequire(process.env.NODE_MODULES + '/')('ldapts');
const suffix = process.env.LDAP_SUFFIX;
const people = `ou=people,${suffix}`;

async function fails(kind, job) {
    try {
        await job;
    } catch (error) {
        if (error instanceof kind) return `${error.name} ${error.code}`;
        throw error;
    }
    throw new Error(`no ${kind.name}`);
}

const client = new Client({ url: process.env.LDAP_URL, timeout: 20000 });
await client.startTLS({ ca: readFileSync(process.env.LDAP_CERTIFICATE), servername: 'localhost' });
console.log('wrong password:', await fails(InvalidCredentialsError, client.bind(`uid=bob,${people}`, 'wrong')));
await client.bind(process.env.LDAP_ADMIN, process.env.LDAP_ADMIN_PASSWORD);

// As asked for: the names of attributes come back in the spelling of the request, and buffers where wanted.
const { searchEntries: [ann] } = await client.search(people, {
    filter: '(&(objectClass=inetOrgPerson)(uid=ann))', attributes: ['UID', 'mail', 'memberOf', 'jpegPhoto'],
    explicitBufferAttributes: ['jpegPhoto'],
});
console.log('ann:', Object.keys(ann).join(' '), ann.mail.length, ann.memberOf.length, Buffer.isBuffer(ann.jpegPhoto));
const escaped = await client.search(people, { filter: '(cn=Star \\2a \\28Odd\\29 \\5c Name)', attributes: ['uid'] });
console.log('escaped:', escaped.searchEntries.map((entry) => entry.uid).join(' '));
const { searchReferences } = await client.search(`ou=referrals,${suffix}`, { scope: 'sub' });
console.log('references:', searchReferences.join(' '));

// Pages.
const pages = [];
for await (const page of client.searchPaginated(people, { filter: '(uid=*)', attributes: ['uid'], paged: { pageSize: 4 } })) {
    pages.push(page.searchEntries.length);
}
console.log('pages:', pages.join(' '));
const all = await client.search(people, { filter: '(uid=*)', attributes: ['uid'], paged: { pageSize: 2 } });
console.log('all pages:', all.searchEntries.length);

// Writing.
const eve = `uid=eve,${people}`;
await client.add(eve, { objectClass: ['inetOrgPerson'], uid: 'eve', cn: 'Eve', sn: 'Baker', mail: ['eve@example.com'] });
await client.modify(eve, [
    new Change({ operation: 'replace', modification: new Attribute({ type: 'sn', values: ['Müller'] }) }),
    new Change({ operation: 'add', modification: new Attribute({ type: 'mail', values: ['e@example.com'] }) }),
    new Change({ operation: 'delete', modification: new Attribute({ type: 'mail', values: ['eve@example.com'] }) }),
]);
console.log('compare:', await client.compare(eve, 'sn', 'MÜLLER'), await client.compare(eve, 'sn', 'Baker'));
await client.modifyDN(eve, `uid=evelyn,ou=groups,${suffix}`);
const moved = await client.search(`uid=evelyn,ou=groups,${suffix}`, { scope: 'base', attributes: ['uid', 'sn', 'mail'] });
console.log('moved:', moved.searchEntries[0].uid, moved.searchEntries[0].sn, moved.searchEntries[0].mail);
await client.del(`uid=evelyn,ou=groups,${suffix}`);
console.log('gone:', await fails(NoSuchObjectError, client.del(eve)));
console.log('who am I:', (await client.exop('1.3.6.1.4.1.4203.1.11.3')).value);
await client.unbind();

// SASL PLAIN over ldaps.
const secure = new Client({ url: process.env.LDAPS_URL, timeout: 20000,
    tlsOptions: { ca: readFileSync(process.env.LDAP_CERTIFICATE), servername: 'localhost' } });
await secure.bind('PLAIN', '\0bob\0bob-secret');
console.log('PLAIN:', (await secure.exop('1.3.6.1.4.1.4203.1.11.3')).value);
await secure.unbind();
