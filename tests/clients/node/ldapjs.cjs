// ldapjs at work: every step says what the library made of the answer, and throws where it should not be so.
const { createRequire } = require('node:module');
const { readFileSync } = require('node:fs');
const { promisify } = require('node:util');
const ldap = createRequire(process.env.NODE_MODULES + '/')('ldapjs');
const suffix = process.env.LDAP_SUFFIX;
const people = `ou=people,${suffix}`;

function connected(url, tlsOptions) {
    const client = ldap.createClient({ url, tlsOptions, timeout: 20000, connectTimeout: 20000 });
    client.on('error', (error) => { throw error; });
    const call = (name) => promisify(client[name].bind(client));
    const search = (base, options, controls) => new Promise((resolve, reject) => {
        const found = { entries: [], references: [], pages: 0 };
        client.search(base, options, controls ?? [], (error, answers) => {
            if (error) return reject(error);
            answers.on('searchEntry', (entry) => found.entries.push(entry.pojo));
            answers.on('searchReference', (reference) => found.references.push(...reference.uris));
            answers.on('page', () => { found.pages += 1; });
            answers.on('error', reject);
            answers.on('end', (result) => resolve({ ...found, controls: result?.controls ?? [] }));
        });
    });
    return { client, search, bind: call('bind'), add: call('add'), modify: call('modify'), compare: call('compare'),
        modifyDN: call('modifyDN'), del: call('del'), exop: call('exop'), unbind: call('unbind') };
}

const values = (entry, name) => entry.attributes.find((attribute) => attribute.type === name)?.values;
const fails = async (name, job) => {
    try {
        await job;
    } catch (error) {
        if (error.name === name) return `${error.name} ${error.code}`;
        throw error;
    }
    throw new Error(`no ${name}`);
};

(async () => {
    const tlsOptions = { ca: [readFileSync(process.env.LDAP_CERTIFICATE)], host: '127.0.0.1' };
    const { search, bind, add, modify, compare, modifyDN, del, exop, unbind } = connected(process.env.LDAPS_URL, tlsOptions);
    console.log('wrong password:', await fails('InvalidCredentialsError', bind(`uid=bob,${people}`, 'wrong')));
    await bind(process.env.LDAP_ADMIN, process.env.LDAP_ADMIN_PASSWORD);
    const { entries: [bob] } = await search(people, { scope: 'sub', filter: '(uid=bob)', attributes: ['UID', 'mail', 'memberOf'] });
    console.log('bob:', bob.objectName, bob.attributes.map((attribute) => attribute.type).join(' '), values(bob, 'UID')[0]);
    const paged = await search(people, { scope: 'sub', filter: '(uid=*)', attributes: ['uid'], paged: { pageSize: 2 } });
    console.log('paged:', paged.entries.length, 'in', paged.pages);
    const sort = new ldap.ServerSideSortingRequestControl({ value: [{ attributeType: 'sn', reverseOrder: true }] });
    const sorted = await search(people, { scope: 'sub', filter: '(uid=*)', attributes: ['uid'] }, [sort]);
    console.log('sorted:', sorted.entries.map((entry) => values(entry, 'uid')[0]).join(' '));
    const { references } = await search(`ou=referrals,${suffix}`, { scope: 'sub' });
    console.log('references:', references.join(' '));

    const eve = `uid=eve,${people}`;
    await add(eve, { objectClass: 'inetOrgPerson', uid: 'eve', cn: 'Eve', sn: 'Baker', mail: ['eve@example.com'] });
    await modify(eve, [
        new ldap.Change({ operation: 'replace', modification: { type: 'sn', values: ['Müller'] } }),
        new ldap.Change({ operation: 'add', modification: { type: 'mail', values: ['e@example.com'] } }),
    ]);
    console.log('compare:', await compare(eve, 'sn', 'MÜLLER'), await compare(eve, 'sn', 'Baker'));
    await modifyDN(eve, 'uid=evelyn');
    await del(`uid=evelyn,${people}`);
    console.log('gone:', await fails('NoSuchObjectError', del(eve)));
    console.log('who am I:', await exop('1.3.6.1.4.1.4203.1.11.3'));
    await unbind();

    const plain = connected(process.env.LDAP_URL);
    await promisify(plain.client.starttls.bind(plain.client))(tlsOptions, []);
    await plain.bind(`uid=ann,${people}`, 'ann-secret');
    console.log('StartTLS:', await plain.exop('1.3.6.1.4.1.4203.1.11.3'));
    await plain.unbind();
})().catch((error) => { console.error(error); process.exit(1); });
